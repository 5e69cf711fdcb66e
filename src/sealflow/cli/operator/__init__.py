"""CLI: commands for operators: up, init, status, doctor, flink, enclave, keys, chart.

May import `cli`, `local`, `owner`, `host`, `operator` and the core.
"""
