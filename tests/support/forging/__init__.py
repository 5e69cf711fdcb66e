"""Authorities of Intel's and AMD's kind that can be wrong in any one part, the same in every run.

Certificates, lists, collateral, quotes and reports; vectors and attacks are made with them.
"""
