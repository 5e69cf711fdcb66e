"""Collateral for enclaves, fetched from a PCCS or AMD's service and cached in a folder.

Its words: collateral request, source, revocation list. May import what `host` may. It
verifies nothing; enclaves do.
"""
