"""Certificates and revocation lists on P-256 of any content, with deterministic signatures."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

NOW_S = 1_790_000_000
DAY_S = 86_400


@cache
def key(name: str) -> ec.EllipticCurvePrivateKey:
    """A key by name, the same in every process."""
    secret = hashlib.sha256(b"forged " + name.encode()).digest()[:31]
    return ec.derive_private_key(int.from_bytes(secret), ec.SECP256R1())


def raw_point(name: str) -> bytes:
    """Coordinates x and y of a key, 32 bytes each."""
    return key(name).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]


def raw_signature(signer: str, message: bytes) -> bytes:
    """Sign with ECDSA on P-256: r and s, 32 bytes each."""
    algorithm = ec.ECDSA(SHA256(), deterministic_signing=True)
    r, s = decode_dss_signature(key(signer).sign(message, algorithm))
    return r.to_bytes(32) + s.to_bytes(32)


def moment(unix_s: int) -> datetime:
    """A time from Unix seconds."""
    return datetime.fromtimestamp(unix_s, UTC)


def common_name(text: str) -> x509.Name:
    """A name of one part."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"SIMULATION ONLY {text}")])


@dataclass(frozen=True, kw_only=True)
class ForgedCertificate:
    """A certificate: who it names, who it says issued it, and whose key really signed it.

    `subject`, `issuer`: names. `key`, `signer`: the subject's and the signing key, by name. `ca`:
    None for a certificate without basic constraints. `extra`: further extensions by OID.
    """

    subject: str
    issuer: str
    key: str
    signer: str
    serial: int
    ca: bool | None = False
    start_s: int = NOW_S - 4000 * DAY_S
    end_s: int = NOW_S + 4000 * DAY_S
    extra: tuple[tuple[str, bytes, bool], ...] = ()

    def build(self) -> x509.Certificate:
        """Sign it."""
        return _build(self)

    def der(self) -> bytes:
        """Sign it, and give its DER."""
        return self.build().public_bytes(Encoding.DER)

    def pem(self) -> str:
        """Sign it, and give its PEM."""
        return self.build().public_bytes(Encoding.PEM).decode()


@cache
def _build(wanted: ForgedCertificate) -> x509.Certificate:
    public = key(wanted.key).public_key()
    ca = bool(wanted.ca)
    builder = (
        x509.CertificateBuilder()
        .subject_name(common_name(wanted.subject))
        .issuer_name(common_name(wanted.issuer))
        .public_key(public)
        .serial_number(wanted.serial)
        .not_valid_before(moment(wanted.start_s))
        .not_valid_after(moment(wanted.end_s))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    if wanted.ca is not None:
        constraints = x509.BasicConstraints(ca=ca, path_length=None)
        builder = builder.add_extension(constraints, critical=True)
    usage = x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=not ca,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
    builder = builder.add_extension(usage, critical=True)
    for oid, value, critical in wanted.extra:
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key(wanted.signer), SHA256(), ecdsa_deterministic=True)


@dataclass(frozen=True, kw_only=True)
class ForgedList:
    """A revocation list; `revoked` are serial numbers."""

    issuer: str
    signer: str
    issued_s: int
    end_s: int
    revoked: tuple[int, ...] = field(default=())

    def der(self) -> bytes:
        """Sign it, and give its DER."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(common_name(self.issuer))
            .last_update(moment(self.issued_s))
            .next_update(moment(self.end_s))
            .add_extension(x509.CRLNumber(1), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(key(self.signer).public_key()),
                critical=False,
            )
        )
        for serial in self.revoked:
            entry = (
                x509.RevokedCertificateBuilder()
                .serial_number(serial)
                .revocation_date(moment(self.issued_s))
                .build()
            )
            builder = builder.add_revoked_certificate(entry)
        signed = builder.sign(key(self.signer), SHA256(), ecdsa_deterministic=True)
        return signed.public_bytes(Encoding.DER)
