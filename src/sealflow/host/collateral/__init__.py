"""Collateral for enclaves, from a PCCS or AMD's service, kept in a folder.

Its words: collateral request, source, revocation list. May import what `host` may; it verifies
nothing.
"""
