"""Operator: preparation of a cluster's certificates, passwords, broker users and Secrets.

Its words: cluster names, component, certificate group, key folder. May import `wire`, `streams`,
`files`, `errors` and cryptography; no server imports it.
"""
