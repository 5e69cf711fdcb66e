"""The key broker host: it forwards requests, elects a leader and stores the sealed state.

Its words: leader, lease, state, standby. May import `host.enclave`, `host.broker`,
`host.collateral`, `wire` and `errors`.
"""
