"""Trusted processes with a test as their host, and the attestation devices of a kernel.

Folders that enclaves are built from, and Gramine as installed on this machine, lie here too.
"""
