"""The key broker: it appraises workers, keeps keys and releases them, signs directory and log.

Its words: leader, standby, epoch key, release, log. May import `trusted` and the core, never
`trusted.worker`.
"""
