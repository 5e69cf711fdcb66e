"""Whom a client trusts: policy files, verified directories, the pin on disk, the report in words.

Its words: policy, report, pin, session. May import `owner.http` and the core.
"""
