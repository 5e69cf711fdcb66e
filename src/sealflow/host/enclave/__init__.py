"""Start a trusted process, as a plain process or as an SGX enclave, and exchange frames with it.

Its words: command, relay, frame. May import `host.settings`, `host.collateral`, `wire` and
`errors`.
"""
