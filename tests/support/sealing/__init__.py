"""Sealed sessions between a client and a worker's key, and receipts about what they exchanged.

A ciphertext that opens under two keys of AES-GCM lies here too.
"""
