"""Model packages: manifest, preprocessing, signed statement, encrypted container, publication.

Its words: package, package file, statement, content key. May import `seal`, `attest`, `openinfer`,
`wire` and `errors`.
"""
