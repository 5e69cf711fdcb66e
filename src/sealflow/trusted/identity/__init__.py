"""Who this enclave is: its keys, and quotes for them by hardware or a simulation.

Its words: identity, quote source, platform key. May import `trusted.port` and the core.
"""
