"""Servers and connections: web servers, HTTP peers that follow a script, TLS handshakes.

The certificate authority that signs for them lies here too.
"""
