"""The Redis operations of the servers, and the Redis server that `sealflow up` starts.

Its words: stream, entry, delivery, record. May import `streams` and what `host` may, and valkey.
"""
