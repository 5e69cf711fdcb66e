"""Remote attestation (RFC 9334): evidence becomes claims, and a policy appraises them.

Its words: evidence, claims, appraise, approval, endorsement, collateral. Pure; may import `wire`
and `errors`, and its rooms `intel` and `amd` where a verifier is needed.
"""
