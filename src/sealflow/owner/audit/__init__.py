"""Proofs for later: the key broker's log, checked as a whole, and receipts of single requests.

Its words: audited log, receipt, proof. May import `owner.trust` and the core.
"""
