"""The HTTP gateway: envelopes in, envelopes out, each reply matched to its request.

Its words: envelope, pending reply, inbox, problem. May import `host.broker` and what `host` may,
never `host.engine`.
"""
