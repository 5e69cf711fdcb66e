"""Owner: clients that use the queue on Redis or Valkey without a gateway.

Its words: pending call, inbox. May import `owner.client`, `owner.audit`, `owner.trust`, `streams`
and the core.
"""
