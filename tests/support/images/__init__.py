"""Image files, honest and hostile, byte by byte.

A builder takes whatever a file can say, true or not.
"""
