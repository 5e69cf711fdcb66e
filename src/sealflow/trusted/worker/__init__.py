"""The worker: an enclave that opens requests, runs models on them and seals the replies.

Its words: frame reader, single-thread loop. May import its three rooms, `trusted` and the core,
never `trusted.keybroker`.
"""
