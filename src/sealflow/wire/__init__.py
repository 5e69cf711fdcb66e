"""What both sides of the enclave's boundary read alike: ids, envelopes, frames and what they carry.

Its words: header, frame, slot, refusal, trust domain. Pure; may import the standard library and
`errors` only.
"""
