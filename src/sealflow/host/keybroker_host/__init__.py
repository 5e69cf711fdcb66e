"""The key broker's host: it carries control requests, elects a leader, stores sealed state.

Its words: leader, lease, state, standby. May import `host.enclave`, `host.broker`,
`host.collateral`, `wire` and `errors`.
"""
