"""Owner: HTTP requests to the gateway: steps without I/O, two transports for them, all paths.

Its words: request, response, steps, transport. May import `streams.keys`, `wire` and `errors`. It
uses no policy and no key.
"""
