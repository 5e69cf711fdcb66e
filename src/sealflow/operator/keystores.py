"""Operator: PKCS #12 stores as Java reads them. Source: RFC 7292; OpenJDK's PKCS12KeyStore."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import PrivateFormat, pkcs12

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import KeySerializationEncryption

    from sealflow.operator.authority import Leaf


def keystore(leaf: Leaf, chain: Sequence[x509.Certificate], password: str) -> bytes:
    """Put a key, its certificate and the chain above it into one encrypted store."""
    return pkcs12.serialize_key_and_certificates(
        b"sealflow", leaf.key, leaf.certificate, list(chain), _encryption(password)
    )


def truststore(roots: Sequence[x509.Certificate], password: str) -> bytes:
    """Put roots into one store, marked as trusted the way that keytool does it.

    Java takes a certificate without that mark for none at all.
    """
    marked = [
        pkcs12.PKCS12Certificate(root, f"sealflow-{at}".encode()) for at, root in enumerate(roots)
    ]
    return pkcs12.serialize_java_truststore(marked, _encryption(password))


def _encryption(password: str) -> KeySerializationEncryption:
    return (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(20_000)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(password.encode())
    )
