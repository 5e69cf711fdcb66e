"""Our queue on Redis, as all who use it see it: keys and fields, addresses, connections.

Its words: stream, entry, consumer, inbox. May import `wire`, `files` and `errors`; enclaves hold
none of it.
"""
