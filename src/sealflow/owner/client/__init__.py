"""Owner: clients of the gateway, threaded and asynchronous, from arrays and images to results.

Its words: inference, request, result. May import all rooms of `owner` but `queue`, and the core.
"""
