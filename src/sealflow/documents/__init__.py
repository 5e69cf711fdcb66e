"""Documents of the key broker, workers and operators: directory, log, grant, receipt, revocation.

Terms: directory, log entry, grant, receipt, revocation order. May import `seal`, `attest`,
`openinfer`, `wire` and `errors`, not `package`.
"""
