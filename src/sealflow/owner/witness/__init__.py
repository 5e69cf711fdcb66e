"""Owner: cosignatures: what witnesses sign about the key broker's log. Pure.

Its words: witness, cosignature. May import `clock` and the core.
"""
