"""Operator: X.509 certificate authorities and the certificates that they issue.

Keys and certificates are written as PEM, for Java also as PKCS #12 (RFC 7292).
"""

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

_MAKE_KEYS: Final = "make new keys with `sealflow keys make`"
CA_LIFE: Final = timedelta(days=5 * 365)
LEAF_LIFE: Final = timedelta(days=365)
_RSA_BITS: Final = 3072
_RSA_EXPONENT: Final = 65537
_BACKDATE: Final = timedelta(minutes=5)
"""Certificates are valid from this long before they are issued, as the machines' clocks differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCertificate:
    """A private key and its certificate. The repr does not show the key."""

    key: PrivateKey = field(repr=False)
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateAuthority:
    """The certificate authority of one certificate group. The repr does not show its key."""

    key: PrivateKey = field(repr=False)
    certificate: x509.Certificate

    @classmethod
    def create(cls, name: str, now: datetime, *, java: bool) -> Self:
        """Create a key and a self-signed root certificate that is valid for `CA_LIFE`.

        `name`: common name of the authority. `java`: make an RSA key.
        """
        key = new_key(java=java)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = _sign_ca_certificate(subject, key, subject, key, now, now + CA_LIFE)
        return cls(key=key, certificate=certificate)

    @classmethod
    def from_pem(cls, key: bytes, certificate: bytes) -> Self:
        """Parse an authority's private key and root certificate, both in PEM.

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
        """Create a key for a component, and a certificate for it.

        `component`: common name. `names`: host names and IP addresses for the subject alternative
        name. The certificate is valid for `LEAF_LIFE`, but never longer than the authority's own.
        """
        key = new_key(java=java)
        usages = [ExtendedKeyUsageOID.SERVER_AUTH] * serves
        usages += [ExtendedKeyUsageOID.CLIENT_AUTH] * calls
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, component)])
        end = min(now + LEAF_LIFE, self.certificate.not_valid_after_utc)
        builder = (
            _certificate_builder(subject, key, self.certificate.subject, now, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False, rsa_key=java), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(_authority_id(self.key), critical=False)
        )
        if names:
            alternative = x509.SubjectAlternativeName([_general_name(name) for name in names])
            builder = builder.add_extension(alternative, critical=False)
        return IssuedCertificate(key=key, certificate=builder.sign(self.key, hashes.SHA256()))

    def cross_sign(
        self, successor: CertificateAuthority, until: datetime, now: datetime
    ) -> x509.Certificate:
        """Return a cross-certificate: the successor's key and name, signed by this authority.

        With it, clients that have only this authority's root can verify certificates that the
        successor issues. It is valid until `until`, but never longer than this authority's root.
        """
        return _sign_ca_certificate(
            successor.certificate.subject,
            successor.key,
            self.certificate.subject,
            self.key,
            now,
            min(until, self.certificate.not_valid_after_utc),
        )


def new_key(*, java: bool) -> PrivateKey:
    """Create a private key: RSA-3072 for Java, else P-256."""
    if java:
        return rsa.generate_private_key(public_exponent=_RSA_EXPONENT, key_size=_RSA_BITS)
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: PrivateKey) -> bytes:
    """Return a private key as PKCS #8 in PEM, not encrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def load_key(pem: bytes) -> PrivateKey:
    """Parse a private key in PEM that is not encrypted.

    Raises: ConfigError.
    """
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        # Without the cause, whose text could show a part of the key.
        raise ConfigError(f"a private key is damaged: {_MAKE_KEYS}") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ConfigError(f"a private key is neither RSA nor elliptic-curve: {_MAKE_KEYS}")
    return key


def certificates_pem(certificates: Sequence[x509.Certificate]) -> bytes:
    """Return certificates in PEM, one after the other."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def load_certificates(pem: bytes) -> list[x509.Certificate]:
    """Parse all certificates of a PEM file.

    Raises: ConfigError.
    """
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ConfigError(f"a certificate is damaged: {_MAKE_KEYS}") from error


def _sign_ca_certificate(
    subject: x509.Name,
    key: PrivateKey,
    issuer: x509.Name,
    issuer_key: PrivateKey,
    now: datetime,
    end: datetime,
) -> x509.Certificate:
    return (
        _certificate_builder(subject, key, issuer, now, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=True, rsa_key=False), critical=True)
        .add_extension(_authority_id(issuer_key), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _certificate_builder(
    subject: x509.Name, key: PrivateKey, issuer: x509.Name, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
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


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def keystore(leaf: IssuedCertificate, chain: Sequence[x509.Certificate], password: str) -> bytes:
    """Return an encrypted PKCS #12 store with a key, its certificate and the chain above it."""
    return pkcs12.serialize_key_and_certificates(
        b"sealflow", leaf.key, leaf.certificate, list(chain), _encryption(password)
    )


def truststore(roots: Sequence[x509.Certificate], password: str) -> bytes:
    """Return an encrypted PKCS #12 store of root certificates for Java.

    Each certificate has the attribute by which `keytool` marks it as trusted: Java ignores
    certificates without it.
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
