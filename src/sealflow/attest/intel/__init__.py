"""Intel's part of attestation: quotes, their verification, the checks of SGX, TDX and TCB.

Its words: quote, collateral, TCB status, advisory. May import `attest`, `wire` and `errors`, never
`attest.amd`.
"""
