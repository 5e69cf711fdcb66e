"""Attestation with Intel: quotes, their verification, and the checks of SGX, TDX and TCB.

Terms: quote, collateral, TCB status, advisory. May import `attest`, `wire` and `errors`, not
`attest.amd`.
"""
