"""Cryptography: keys and suites, chunked encryption, the exchange of request and reply.

Terms: suite, seal, open, session, exchange. May import `attest`, `wire` and `errors`.
"""
