"""Owner: a verifier: it appraises a service for others, and signs what others' tools can read.

Its words: verifier key, passport, checkpoint, transparent statement. May import `owner.audit`,
`owner.trust`, `owner.passport`, `owner.http` and the core. Needs the extra `verifier`.
"""
