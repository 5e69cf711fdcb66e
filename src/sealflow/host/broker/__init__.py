"""Redis as servers use it: claims, replies, records, and the server that `sealflow up` starts.

Its words: stream, entry, delivery, record. May import `streams` and what `host` may, and valkey.
"""
