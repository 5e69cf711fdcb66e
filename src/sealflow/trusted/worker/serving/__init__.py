"""The processing of requests in a worker: arrival, opening, batching, running, sealing.

Its words: arrival, job, batch, keyring. May import `worker.models`, `trusted` and the core.
"""
