"""The key broker: it appraises workers, releases keys to them, and signs the directory and the log.

Its words: leader, standby, epoch key, release, log. May import `trusted` and the core, never
`trusted.worker`.
"""
