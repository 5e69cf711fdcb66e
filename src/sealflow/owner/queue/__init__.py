"""Clients of the queue, which talk to Redis themselves.

Its words: pending call, inbox. May import `owner.client`, `owner.audit`, `owner.trust`, `streams`
and the core.
"""
