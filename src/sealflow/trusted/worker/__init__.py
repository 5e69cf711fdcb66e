"""The worker: it opens requests, runs models on them and seals the replies.

Its words: thread, single-thread loop. May import its three rooms, `trusted` and the core, never
`trusted.keybroker`.
"""
