"""`sealflow bench`: inputs, load, figures.

Options in, one run, text out. May import `cli`, `local`, `owner`, `host` and the core.
"""
