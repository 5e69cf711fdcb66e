"""Passports for tests: genuine ones, and tokens whose parts say anything.

Keys are fixed, so that a token of Ed25519 has the same bytes each time.
"""
