"""AMD's part of attestation: SEV-SNP reports, the certificates behind them, verification, checks.

Its words: report, endorsement, VCEK, VLEK. May import `attest`, `wire` and `errors`, never
`attest.intel`.
"""
