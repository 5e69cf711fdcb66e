"""Owner: the tasks of a model owner: keys, packing, publishing, revoking.

Its words: owner key, package, publication, order. May import `owner.trust`, `owner.http` and the
core.
"""
