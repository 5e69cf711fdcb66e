"""Clients of the gateway, threaded and asynchronous, and one request from arrays to result.

Its words: inference, request, result. May import all rooms of `owner` but `queue`, and the core.
"""
