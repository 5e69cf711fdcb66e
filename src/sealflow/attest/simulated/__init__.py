"""A make-believe Intel: a platform with a root of its own, for machines without hardware.

Its words: authority, platform, measurement. May import `attest`, `wire` and `errors`; images of
hardware leave it out.
"""
