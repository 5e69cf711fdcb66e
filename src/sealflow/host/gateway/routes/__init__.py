"""What the gateway answers, one file a subject: envelopes, health, key broker, packages.

Its words: route, handler of one path, refusal. May import `host.gateway` and what that may.
"""
