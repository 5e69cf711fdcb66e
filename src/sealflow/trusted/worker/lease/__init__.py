"""A worker's keys and models: enrollment with the key broker, the lease, requests to the host.

Its words: enrollment, grant, lease. May import `worker.models`, `worker.serving`, `trusted` and the
core.
"""
