"""Commands of operators: up, status, doctor, Flink, enclaves, keys.

Options in, one call, text out. May import `cli`, `local`, `owner`, `host`, `operator` and the core.
"""
