"""The routes of the gateway, one file per subject: envelopes, health, key broker, packages.

Its words: route, handler, refusal. May import `host.gateway` and what that may.
"""
