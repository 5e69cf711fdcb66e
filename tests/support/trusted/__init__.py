"""A worker's and a key broker's parts in this process, with a test as their host.

Tests drive their clock and read their frames.
"""
