"""Keys and certificates under a test root of Intel, the same in every process."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from sealflow.attest.simulated import authority as der

NOW_S = 1_790_000_000
DAY_S = 86_400
SERIALS = {"root": 101, "middle": 102, "pck": 103, "tcb": 104}
ISSUERS = {"root": "root", "middle": "root", "tcb": "root", "pck": "middle"}
ISSUED = {"root": {"middle", "tcb"}, "middle": {"pck"}}


@cache
def key(name: str) -> ec.EllipticCurvePrivateKey:
    """A key by name, the same in every process."""
    return ec.derive_private_key(
        int.from_bytes(hashlib.sha256(name.encode()).digest()[:31]), ec.SECP256R1()
    )


def moment(unix_s: int) -> datetime:
    """A time from Unix seconds."""
    return datetime.fromtimestamp(unix_s, UTC)


def name_of(name: str) -> x509.Name:
    """What a certificate is named."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"SIMULATION ONLY {name}")])


@cache
def certificate(name: str, root: str, at_s: int, flags: tuple[str, ...]) -> x509.Certificate:
    """Certify the key of a name: root, middle, tcb or pck.

    `root` names the key that signs in the root's place, and `flags` a pck's platform flags.
    """
    ca = name in ("root", "middle")
    issuer = ISSUERS[name]
    signer = key(root if issuer == "root" else issuer)
    mine = key(root if name == "root" else name)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name_of(name))
        .issuer_name(name_of(issuer))
        .public_key(mine.public_key())
        .serial_number(SERIALS[name])
        .not_valid_before(moment(at_s - 4000 * DAY_S))
        .not_valid_after(moment(at_s + 4000 * DAY_S))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not ca,
                content_commitment=not ca,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=ca,
                crl_sign=ca,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(mine.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if name == "pck":
        builder = builder.add_extension(_extension(flags), critical=False)
    return builder.sign(signer, SHA256(), ecdsa_deterministic=True)


def _extension(flags: tuple[str, ...]) -> x509.UnrecognizedExtension:
    """The simulated platform's, with what machines of several packages have besides."""
    plain = der.pck_extension()
    if not flags:
        return plain
    names = ("dynamic_platform", "cached_keys", "smt_enabled")
    configuration = [
        der._item(f"7.{number}", der._der(1, b"\xff" if name in flags else b"\0"))
        for number, name in enumerate(names, 1)
    ]
    items = plain.value[_length_of_head(plain.value) :]
    whole = der._sequence(
        items, der._item("6", der._octets(bytes(16))), der._item("7", der._sequence(*configuration))
    )
    return x509.UnrecognizedExtension(plain.oid, whole)


def _length_of_head(value: bytes) -> int:
    return 2 if value[1] < 0x80 else 2 + (value[1] & 0x7F)
