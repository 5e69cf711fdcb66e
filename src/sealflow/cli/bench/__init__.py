"""CLI: the command `sealflow bench`: inputs, load and measurements.

May import `cli`, `local`, `owner`, `host` and the core.
"""
