"""CLI: commands for data and model owners: infer, verify, policy, model, revoke, log, receipt.

May import `cli`, `local`, `owner` and the core.
"""
