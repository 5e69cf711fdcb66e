"""The engine: it claims requests, feeds workers, stores replies and restarts ended workers.

Its words: worker process, pool, delivery, requeue. May import `host.enclave`, `host.broker`,
`host.collateral` and what `host` may, never `host.gateway`.
"""
