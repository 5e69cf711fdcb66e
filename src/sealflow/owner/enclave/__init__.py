"""Owner: builds and signs SGX enclaves: files, sizes, manifest, signature.

Its words: manifest template, load, measurement, signature. May import `attest`, `files` and
`errors`.
"""
