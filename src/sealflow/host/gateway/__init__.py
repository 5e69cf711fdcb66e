"""The HTTP gateway: it queues sealed requests and matches the sealed replies to them.

Its words: envelope, pending reply, inbox, problem. May import `host.broker` and what `host` may,
never `host.engine`.
"""
