"""Owner: passports: what a trusted verifier signed about a service's evidence. Pure.

Its words: token, passport, verifier. May import `clock` and the core.
"""
