"""Switch off each check of the verifiers, one after the other: `make mutate`.

A check that no vector and no attack test misses is a survivor: docs/develop/mutation.md.
"""
