"""Core: certificates, revocation lists and collateral of a simulated Intel platform.

They have Intel's formats under a root of their own, so the same verifier checks them and no
production policy accepts them. Every certificate's name begins with SIMULATION ONLY.

Source: Intel SGX PCK Certificate and CRL Profile Specification 1.5 (the extension of PCK
certificates: section 1.3.5); TCB info version 3, QE identity version 2.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from sealflow.attest.simulated.platform import (
    AUTH_DATA,
    PCE_SVN,
    QE_SVN,
    TCB_SVN,
    SimulatedPlatform,
    point,
    raw_signature,
    report_body,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey


FMSPC: Final = bytes.fromhex("5e0000000000")
_PPID: Final = bytes(16)
_SGX: Final = "1.2.840.113741.1.13.1"
_COMPONENTS: Final = 16
QE_SIGNER: Final = bytes.fromhex("5e" * 32)
QE_PRODUCT_ID: Final = 1
TCB_EVALUATION: Final = 1
_BACKDATED: Final = timedelta(hours=1)
LIFE: Final = timedelta(days=365)
_QE_ATTRIBUTES: Final = 0x11


def pck_extension() -> x509.UnrecognizedExtension:
    """Return the SGX extension of a PCK certificate of the simulated platform."""
    tcb = [_item(f"2.{number}", _integer(TCB_SVN)) for number in range(1, _COMPONENTS + 1)] + [
        _item("2.17", _integer(PCE_SVN)),
        _item("2.18", _octets(bytes([TCB_SVN] * _COMPONENTS))),
    ]
    value = _sequence(
        _item("1", _octets(_PPID)),
        _item("2", _sequence(*tcb)),
        _item("3", _octets(bytes(2))),
        _item("4", _octets(FMSPC)),
        _item("5", _der(0x0A, b"\0")),
    )
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(_SGX), value)


def _item(suffix: str, value: bytes) -> bytes:
    return _sequence(_object_identifier(f"{_SGX}.{suffix}"), value)


def _sequence(*items: bytes) -> bytes:
    return _der(0x30, b"".join(items))


def _octets(value: bytes) -> bytes:
    return _der(0x04, value)


def _integer(value: int) -> bytes:
    return _der(0x02, value.to_bytes(value.bit_length() // 8 + 1))


def _object_identifier(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    encoded = bytearray([first * 40 + second])
    for number in rest:
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(number & 0x7F | 0x80)
        encoded += bytes(reversed(groups))
    return _der(0x06, bytes(encoded))


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:  # noqa: PLR2004 - X.690, 8.1.3
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(octets)]) + octets + content


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedAuthority:
    """The certificates and collateral that a simulated root issued, and the PCK key.

    `root_der`: the root certificate. `pck_chain`: the PCK certificate and its issuers, in PEM. The
    keys of all issuers are discarded.
    """

    root_der: bytes = field(repr=False)
    pck_chain: bytes = field(repr=False)
    pck_key: EllipticCurvePrivateKey = field(repr=False)
    collateral: bytes = field(repr=False)


def create_authority(
    now_ms: int, life: timedelta, *, tcb_status: str = "UpToDate"
) -> SimulatedAuthority:
    """Create all keys, and issue certificates, revocation lists and collateral.

    They are valid from 1 hour before `now_ms` (Unix ms) until `life` after it. `tcb_status`: the
    platform's TCB status in the collateral. The issuers' keys are not kept.
    """
    issued = datetime.fromtimestamp(now_ms // 1000, UTC) - _BACKDATED
    until = issued + life + _BACKDATED
    root_key, middle_key, pck_key, tcb_key = (
        ec.generate_private_key(ec.SECP256R1()) for _ in range(4)
    )
    span = (issued, until)
    root = _certificate("Root CA", root_key, None, root_key, span, ca=True)
    middle = _certificate("PCK Platform CA", middle_key, root, root_key, span, ca=True)
    pck = _certificate("PCK Certificate", pck_key, middle, middle_key, span, ca=False)
    tcb = _certificate("TCB Signing", tcb_key, root, root_key, span, ca=False)
    tcb_info = _tcb_info(issued, until, tcb_status)
    qe_identity = _qe_identity(issued, until)
    collateral = {
        "pck_crl_issuer_chain": _pem(middle, root).decode(),
        "root_ca_crl": _revocations(root, root_key, issued, until).hex(),
        "pck_crl": _revocations(middle, middle_key, issued, until).hex(),
        "tcb_info_issuer_chain": _pem(tcb, root).decode(),
        "tcb_info": tcb_info,
        "tcb_info_signature": raw_signature(tcb_key, tcb_info.encode()).hex(),
        "qe_identity_issuer_chain": _pem(tcb, root).decode(),
        "qe_identity": qe_identity,
        "qe_identity_signature": raw_signature(tcb_key, qe_identity.encode()).hex(),
    }
    return SimulatedAuthority(
        root_der=root.public_bytes(Encoding.DER),
        pck_chain=_pem(pck, middle, root),
        pck_key=pck_key,
        collateral=json.dumps(collateral).encode(),
    )


def _certificate(
    what: str,
    key: EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: EllipticCurvePrivateKey,
    span: tuple[datetime, datetime],
    *,
    ca: bool,
) -> x509.Certificate:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"SIMULATION ONLY {what}"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Sealflow simulated platform"),
        ]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(span[0])
        .not_valid_after(span[1])
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(_key_usage(ca=ca), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    if what == "PCK Certificate":
        builder = builder.add_extension(pck_extension(), critical=False)
    return builder.sign(issuer_key, SHA256())


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
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


def _revocations(
    issuer: x509.Certificate, key: EllipticCurvePrivateKey, issued: datetime, until: datetime
) -> bytes:
    return (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(issued)
        .next_update(until)
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
        .sign(key, SHA256())
        .public_bytes(Encoding.DER)
    )


def _tcb_info(issued: datetime, until: datetime, status: str) -> str:
    level = {
        "tcb": {"sgxtcbcomponents": [{"svn": TCB_SVN}] * 16, "pcesvn": PCE_SVN},
        "tcbDate": _time(issued),
        "tcbStatus": status,
    }
    return _compact(
        {
            "id": "SGX",
            "version": 3,
            "issueDate": _time(issued),
            "nextUpdate": _time(until),
            "fmspc": FMSPC.hex(),
            "pceId": "0000",
            "tcbType": 0,
            "tcbEvaluationDataNumber": TCB_EVALUATION,
            "tcbLevels": [level],
        }
    )


def _qe_identity(issued: datetime, until: datetime) -> str:
    level = {"tcb": {"isvsvn": QE_SVN}, "tcbDate": _time(issued), "tcbStatus": "UpToDate"}
    return _compact(
        {
            "id": "QE",
            "version": 2,
            "issueDate": _time(issued),
            "nextUpdate": _time(until),
            "tcbEvaluationDataNumber": TCB_EVALUATION,
            "miscselect": "00000000",
            "miscselectMask": "FFFFFFFF",
            "attributes": "11000000000000000000000000000000",
            "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
            "mrsigner": QE_SIGNER.hex().upper(),
            "isvprodid": QE_PRODUCT_ID,
            "tcbLevels": [level],
        }
    )


def _time(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _compact(value: dict[str, object]) -> str:
    return json.dumps(value, separators=(",", ":"))


def _pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def create_platform(
    now_ms: int, *, life: timedelta = LIFE, tcb_status: str = "UpToDate"
) -> SimulatedPlatform:
    """Create a simulated platform under a new root; arguments as for `create_authority`."""
    authority = create_authority(now_ms, life, tcb_status=tcb_status)
    key = ec.generate_private_key(ec.SECP256R1())
    binding = hashlib.sha256(point(key) + AUTH_DATA).digest() + bytes(32)
    report = report_body(bytes(32), QE_SIGNER, QE_PRODUCT_ID, QE_SVN, _QE_ATTRIBUTES, binding)
    return SimulatedPlatform(
        root_der=authority.root_der,
        collateral=authority.collateral,
        pck_chain=authority.pck_chain,
        key=key,
        qe_report=report,
        qe_signature=raw_signature(authority.pck_key, report),
    )
