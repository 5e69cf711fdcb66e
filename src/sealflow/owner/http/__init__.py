"""The gateway over HTTP: steps without I/O, two transports for them, all paths.

Its words: request, response, step, transport. May import `streams.keys`, `wire` and `errors`; it
knows no policy and no key.
"""
