"""Remote attestation (RFC 9334): verification of evidence, and appraisal by a policy.

Terms: evidence, claims, appraise, approval, endorsement, collateral. Pure; may import `wire` and
`errors`. The packages `intel` and `amd` hold the verifiers of their vendor's reports.
"""
