"""Attestation with AMD: SEV-SNP reports, their endorsements, verification and checks.

Terms: report, endorsement, VCEK, VLEK. May import `attest`, `wire` and `errors`, not
`attest.intel`.
"""
