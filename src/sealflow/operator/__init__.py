"""The operator's desk, before a cluster runs: certificates, passwords, broker users, Secrets.

Its words: site, component, certificate group, key folder. May import `wire`, `streams`, `files`,
`errors` and cryptography; no server imports it.
"""
