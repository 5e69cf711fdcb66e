"""Limits of one gateway process, and the share of each that one peer may take.

Its words: held bytes, holding, peer, share. May import `errors` and the standard library only.
"""
