"""The checks of `sealflow doctor`: programs, network and SGX of a machine.

Its words: finding, verdict, fix. May import `host` and `streams`.
"""
