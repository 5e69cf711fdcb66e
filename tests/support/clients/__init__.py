"""Clients in other languages than Python, run as their users run them.

Tests of `tests/clients` use these.
"""
