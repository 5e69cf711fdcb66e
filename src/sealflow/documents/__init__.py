"""What is signed and kept: directory, log, grant, receipt, revocation.

Its words: directory, log entry, grant, receipt, order. May import `seal`, `attest`, `openinfer`,
`wire` and `errors`, not `package`.
"""
