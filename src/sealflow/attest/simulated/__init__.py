"""A simulated Intel platform under a root of its own, for machines without TEE hardware.

Terms: authority, platform, measurement. May import `attest`, `wire` and `errors`. Images for
hardware do not contain this package.
"""
