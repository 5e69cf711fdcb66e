"""Model packages: manifest, preprocessing, signed statement, encrypted container, publication.

Terms: package, package file, statement, content key. May import `seal`, `attest`, `openinfer`,
`wire` and `errors`.
"""
