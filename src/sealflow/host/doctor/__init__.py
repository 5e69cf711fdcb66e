"""What a machine lacks, found out part by part: programs, network, enclave.

Its words: finding, hint. May import `host` and `streams`.
"""
