"""The operator's servers, which never see plaintext: gateway, engine, key broker host.

Its words: service, settings, status. May import `streams`, `wire`, `files`, `clock`, `backoff` and
`errors`; no cryptography, no numpy, no `seal` or `attest`.
"""
