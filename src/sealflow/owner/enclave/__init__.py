"""Build and sign SGX enclaves: files, sizes, manifest, signature.

Its words: manifest template, load, measurement, signature. May import `attest`, `files` and
`errors`.
"""
