"""Operator: authorities and the certificates that they issue, as PEM and as keystores."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sealflow.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.serialization import KeySerializationEncryption


PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

CA_LIFE: Final = timedelta(days=5 * 365)
LEAF_LIFE: Final = timedelta(days=365)
_RSA_BITS: Final = 3072
_RSA_EXPONENT: Final = 65537
_EARLY: Final = timedelta(minutes=5)
"""Clocks differ: a certificate counts a little before it was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCertificate:
    """A private key and its certificate; never shows the key in a repr."""

    key: PrivateKey = field(repr=False)
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateAuthority:
    """A certificate authority of one circle."""

    key: PrivateKey = field(repr=False)
    certificate: x509.Certificate

    @classmethod
    def create(cls, name: str, now: datetime, *, java: bool) -> Self:
        """Draw a key and sign its own certificate."""
        key = new_key(java=java)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = _ca(subject, key, subject, key, now, now + CA_LIFE)
        return cls(key=key, certificate=certificate)

    @classmethod
    def from_pem(cls, key: bytes, certificate: bytes) -> Self:
        """Read both from PEM.

        Raises: ConfigError.
        """
        return cls(key=load_key(key), certificate=load_certificates(certificate)[0])

    def issue(
        self,
        component: str,
        names: Sequence[str],
        now: datetime,
        *,
        serves: bool,
        calls: bool,
        java: bool,
    ) -> IssuedCertificate:
        """Draw a key for a component and certify it."""
        key = new_key(java=java)
        usages = [ExtendedKeyUsageOID.SERVER_AUTH] * serves
        usages += [ExtendedKeyUsageOID.CLIENT_AUTH] * calls
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, component)])
        end = min(now + LEAF_LIFE, self.certificate.not_valid_after_utc)
        builder = (
            _draft(subject, key, self.certificate.subject, now, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False, rsa_key=java), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(_authority_id(self.key), critical=False)
        )
        if names:
            alternative = x509.SubjectAlternativeName([_general(name) for name in names])
            builder = builder.add_extension(alternative, critical=False)
        return IssuedCertificate(key=key, certificate=builder.sign(self.key, hashes.SHA256()))

    def cross_sign(
        self, successor: CertificateAuthority, until: datetime, now: datetime
    ) -> x509.Certificate:
        """Certify a successor: who knows this authority alone can check the successor's leaves."""
        return _ca(
            successor.certificate.subject,
            successor.key,
            self.certificate.subject,
            self.key,
            now,
            min(until, self.certificate.not_valid_after_utc),
        )


def new_key(*, java: bool) -> PrivateKey:
    """Draw a private key: RSA-3072 where Java needs it, else P-256."""
    if java:
        return rsa.generate_private_key(public_exponent=_RSA_EXPONENT, key_size=_RSA_BITS)
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: PrivateKey) -> bytes:
    """Write a private key as PKCS #8 in PEM, in clear."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def load_key(pem: bytes) -> PrivateKey:
    """Read a private key.

    Raises: ConfigError.
    """
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        # No cause: it could show a piece of the key.
        raise ConfigError("a private key is damaged: make all keys anew") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ConfigError("a private key is neither RSA nor on P-256: make all keys anew")
    return key


def certificates_pem(certificates: Sequence[x509.Certificate]) -> bytes:
    """Write certificates one after the other."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def load_certificates(pem: bytes) -> list[x509.Certificate]:
    """Read all certificates of a file.

    Raises: ConfigError.
    """
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ConfigError("a certificate is damaged: make all keys anew") from error


def _ca(
    subject: x509.Name,
    key: PrivateKey,
    issuer: x509.Name,
    issuer_key: PrivateKey,
    now: datetime,
    end: datetime,
) -> x509.Certificate:
    return (
        _draft(subject, key, issuer, now, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=True, rsa_key=False), critical=True)
        .add_extension(_authority_id(issuer_key), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _draft(
    subject: x509.Name, key: PrivateKey, issuer: x509.Name, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _authority_id(key: PrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _key_usage(*, signs_certificates: bool, rsa_key: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_encipherment=rsa_key,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def keystore(leaf: IssuedCertificate, chain: Sequence[x509.Certificate], password: str) -> bytes:
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
