"""Cryptography only: keys and suites, sealing in chunks, the exchange of request and reply.

Its words: suite, seal, open, session, exchange. May import `attest`, `wire` and `errors`.
"""
