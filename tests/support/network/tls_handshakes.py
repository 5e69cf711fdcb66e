"""Real TLS handshakes in memory, between what two components of a key folder hold."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from cryptography import x509

if TYPE_CHECKING:
    from pathlib import Path


def server_context(folder: Path, component: str) -> ssl.SSLContext:
    """The server side of a component, which demands a certificate of its circle."""
    own = folder / "keys" / component
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=own / "ca.crt")
    context.load_cert_chain(own / "tls.crt", own / "tls.key")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(folder: Path, component: str) -> ssl.SSLContext:
    """The client side of a component."""
    own = folder / "keys" / component
    context = ssl.create_default_context(cafile=own / "ca.crt")
    context.load_cert_chain(own / "tls.crt", own / "tls.key")
    return context


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str:
    """Complete a handshake and carry a byte both ways; gives the client's common name.

    Raises: ssl.SSLError.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname=name)
    there = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(10):
        for side in (here, there):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    here.write(b"?")
    assert there.read(1) == b"?"
    there.write(b"!")
    assert here.read(1) == b"!"
    found = there.getpeercert(binary_form=True)
    assert found is not None
    [name_of] = x509.load_der_x509_certificate(found).subject
    return str(name_of.value)
