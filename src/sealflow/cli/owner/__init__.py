"""Commands of owners: infer, verify, models, audits.

Options in, one call, text out. May import `cli`, `local`, `owner` and the core.
"""
