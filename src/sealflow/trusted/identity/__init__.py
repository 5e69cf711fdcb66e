"""The identity of an enclave instance: its keys, and the quotes that bind them to its code.

Its words: identity, quote source, platform key. May import `trusted.port` and the core.
"""
