"""Owner: verification of a service: policy files, directories, the pin on disk, the trust report.

Its words: policy, report, pin, session. May import `owner.http` and the core.
"""
