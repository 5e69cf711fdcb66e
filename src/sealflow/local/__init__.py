"""Local: a whole cluster on this machine, as `sealflow up` runs it: folder, processes, Flink.

Its words: home, cluster, supervisor. May import `owner`, `host`, `operator` and the core, never
`trusted` or `cli`.
"""
