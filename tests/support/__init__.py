"""Builders that tests share: each room builds one kind of thing.

Tests import from here and from the product. A module that only one folder of tests uses lies there.
"""
