"""Evidence, quotes and reports under test roots of Intel and AMD, with their collateral and chains.

Policies and deployments that it meets or fails, and samples of real hardware, lie here too.
"""
