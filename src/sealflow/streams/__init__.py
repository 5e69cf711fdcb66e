"""The queue on Redis: names of keys and fields, the broker's address, and connections to it.

Its words: stream, entry, consumer, inbox. May import `wire`, `files` and `errors`. Enclaves do not
contain it.
"""
