"""Owner: offline checks of the key broker's log and of receipts.

Its words: audited log, receipt, proof. May import `owner.trust` and the core.
"""
