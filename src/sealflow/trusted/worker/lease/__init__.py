"""How a worker gets its keys and models: enrollment, the lease, requests to its host.

Its words: enrollment, grant, lease. May import `worker.models`, `worker.serving`, `trusted` and the
core.
"""
