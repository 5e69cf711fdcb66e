"""Start a trusted process and talk to it by frames, as a program or as an SGX enclave.

Its words: command, relay, frame. May import `host.settings`, `host.collateral`, `wire` and
`errors`.
"""
