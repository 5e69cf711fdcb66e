"""The formats that hosts, enclaves and clients share: ids, envelopes, frames and their payloads.

Terms: header, frame, slot, refusal, trust domain. Pure; may import the standard library and
`errors` only.
"""
