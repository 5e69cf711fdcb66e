"""Core: verification of AMD's certificates and revocation list for one processor.

Spec: attestation.md, 3.5 and 3.6. Source: AMD Versioned Chip Endorsement Key (VCEK) Certificate
and KDS Interface Specification (publication 57230), chapters 3 and 4, table 8.
"""

from __future__ import annotations

import hashlib
import warnings
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sealflow.attest.amd.report import PRODUCTS, Product, ReportKeyKind
from sealflow.attest.x509_errors import X509_ERRORS
from sealflow.errors import EvidenceError, MalformedError
from sealflow.wire.fields import Fields
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime


_AMD: Final = "1.3.6.1.4.1.3704.1"
_PRODUCT: Final = f"{_AMD}.2"
_CHIP: Final = f"{_AMD}.4"
_CLOUD: Final = f"{_AMD}.5"
_SVNS: Final = {
    f"{_AMD}.3.1": "bootloader",
    f"{_AMD}.3.2": "tee",
    f"{_AMD}.3.3": "snp",
    f"{_AMD}.3.8": "microcode",
    f"{_AMD}.3.9": "fmc",
}
_INTEGER: Final = 0x02
_OCTETS: Final = 0x04
_IA5_STRING: Final = 0x16
_CHIP_BYTES: Final = (64, 8)
MAX_CERTIFICATE_BYTES: Final = 16 * 1024
MAX_CRL_BYTES: Final = 256 * 1024
_NAMES: Final = ("leaf", "intermediate", "root", "crl")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafFacts:
    """The facts in AMD's extensions of a leaf certificate (VCEK or VLEK).

    `product`: AMD's product name, with a stepping after a `-` in some. `chip`: the processor's id
    in a VCEK, None in a VLEK. `tcb`: the version of each part of the TCB.
    """

    leaf: ReportKeyKind
    product: str
    chip: bytes | None
    tcb: Mapping[str, int]


def read_leaf(certificate: x509.Certificate) -> LeafFacts:
    """Return the facts in AMD's extensions of a leaf certificate.

    Raises: MalformedError.
    """
    extensions = {
        each.oid.dotted_string: each.value.value
        for each in certificate.extensions
        if isinstance(each.value, x509.UnrecognizedExtension)
    }
    if _PRODUCT not in extensions or (_CHIP in extensions) == (_CLOUD in extensions):
        raise MalformedError("the leaf is neither a VCEK nor a VLEK")
    name = _content(extensions[_PRODUCT], _IA5_STRING)
    return LeafFacts(
        leaf=ReportKeyKind.VCEK if _CHIP in extensions else ReportKeyKind.VLEK,
        product=name.decode("ascii", "replace"),
        chip=_chip(extensions[_CHIP]) if _CHIP in extensions else None,
        tcb={
            part: int.from_bytes(_content(extensions[oid], _INTEGER))
            for oid, part in _SVNS.items()
            if oid in extensions
        },
    )


def _chip(value: bytes) -> bytes:
    # Some certificates wrap the id in an OCTET STRING, others do not.
    chip = value if len(value) in _CHIP_BYTES else _content(value, _OCTETS)
    if len(chip) not in _CHIP_BYTES:
        raise MalformedError("the leaf's chip id is neither 64 nor 8 bytes long")
    return chip


def _content(value: bytes, tag: int) -> bytes:
    """Return the content of a DER value, which must be shorter than 128 bytes."""
    if len(value) < 3 or value[0] != tag or value[1] != len(value) - 2:  # noqa: PLR2004 - X.690
        raise MalformedError("an extension of the leaf has another type or length than AMD's")
    return value[2:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsements:
    """The collateral of an SNP report: certificates and revocation list in DER; untrusted.

    `leaf`: VCEK or VLEK. `intermediate`: ASK or ASVK. `root`: ARK. `crl`: empty if there is none.
    """

    leaf: bytes = field(repr=False)
    intermediate: bytes = field(repr=False)
    root: bytes = field(repr=False)
    crl: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """Return the `collateral` of evidence as canonical JSON."""
        parts = {name: getattr(self, name) for name in _NAMES}
        return canonical_json({name: b64encode(part).decode() for name, part in parts.items()})

    @classmethod
    def from_bytes(cls, collateral: bytes) -> Self:
        """Parse bytes that `to_bytes` returned.

        Raises: MalformedError.
        """
        fields = Fields.from_bytes(collateral, "collateral", _NAMES)
        return cls(
            leaf=fields.base64("leaf", MAX_CERTIFICATE_BYTES),
            intermediate=fields.base64("intermediate", MAX_CERTIFICATE_BYTES),
            root=fields.base64("root", MAX_CERTIFICATE_BYTES),
            crl=fields.base64("crl", MAX_CRL_BYTES),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsed:
    """A leaf key with a verified certificate chain.

    `issued_s`: the issue time of the revocation list, or None without one. `expires_s`: the time
    when the first part of the endorsements expires. Both in Unix seconds.
    """

    key: EllipticCurvePublicKey = field(repr=False)
    facts: LeafFacts
    product: Product
    issued_s: int | None
    expires_s: int


def verify_endorsements(
    endorsements: Endorsements, insecure_root: bytes | None, now_s: int
) -> Endorsed:
    """Verify the chain from leaf to root, the dates, and the revocation list if there is one.

    `insecure_root`: the DER of a root to trust instead of AMD's, or None. `now_s`: the verifier's
    time in Unix seconds.

    Raises: EvidenceError.
    """
    try:
        return _verify(endorsements, insecure_root, now_s)
    except (*X509_ERRORS, MalformedError) as error:
        raise EvidenceError("certificate", f"a certificate does not parse: {error}") from error


def _verify(endorsements: Endorsements, insecure_root: bytes | None, now_s: int) -> Endorsed:
    leaf, middle, root = map(
        _load, (endorsements.leaf, endorsements.intermediate, endorsements.root)
    )
    facts = read_leaf(leaf)
    product = _product(root, facts, insecure_root)
    for certificate, issuer in ((root, root), (middle, root), (leaf, middle)):
        _check_issued(certificate, issuer)
    _check_dates((leaf, middle, root), now_s)
    key = leaf.public_key()
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP384R1):
        raise EvidenceError("certificate", "the leaf's key is not on P-384")
    ends = [_seconds(each.not_valid_after_utc) for each in (leaf, middle, root)]
    issued_s = None
    if endorsements.crl:
        issued_s, end_s = _check_crl(endorsements.crl, root, middle, now_s)
        ends.append(end_s)
    return Endorsed(key=key, facts=facts, product=product, issued_s=issued_s, expires_s=min(ends))


def _load(der: bytes) -> x509.Certificate:
    # AMD's leaf certificates have serial number 0. The pinned library version warns about it, and
    # a later one will refuse it; a test with real certificates fails then.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Parsed a serial number which wasn't positive")
        return x509.load_der_x509_certificate(der)


def _product(root: x509.Certificate, facts: LeafFacts, insecure_root: bytes | None) -> Product:
    line = facts.product.partition("-")[0]
    if insecure_root is None:
        spki = root.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        digest = hashlib.sha256(spki).hexdigest()
        known = [each for each in PRODUCTS if each.root_key == digest]
    else:
        trusted = root.public_bytes(Encoding.DER) == insecure_root
        known = [each for each in PRODUCTS if each.name == line] if trusted else []
    if not known:
        raise EvidenceError("root", "the certificate chain does not end in a trusted root")
    if known[0].name != line:
        raise EvidenceError("certificate", "the leaf is of another product line than the root")
    return known[0]


def _check_issued(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    padding = certificate.signature_algorithm_parameters
    if not isinstance(padding, PSS) or not isinstance(certificate.signature_hash_algorithm, SHA384):
        raise EvidenceError("certificate", "a certificate is not signed with RSA-PSS and SHA-384")
    try:
        certificate.verify_directly_issued_by(issuer)
    except X509_ERRORS as error:
        raise EvidenceError("certificate", "a certificate is not signed by its issuer") from error
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound as error:
        raise EvidenceError("certificate", "an issuer has no basic constraints") from error
    if not constraints.ca:
        raise EvidenceError("certificate", "an issuer is not a certificate authority")


def _check_dates(certificates: Iterable[x509.Certificate], now_s: int) -> None:
    for each in certificates:
        if now_s < _seconds(each.not_valid_before_utc):
            raise EvidenceError(
                "certificate", "a certificate is not valid yet: check this machine's clock"
            )
        if now_s > _seconds(each.not_valid_after_utc):
            raise EvidenceError("certificate", "a certificate has expired")


def _check_crl(
    der: bytes, root: x509.Certificate, middle: x509.Certificate, now_s: int
) -> tuple[int, int]:
    """Return issue time and expiry time of the revocation list, in Unix seconds."""
    key = root.public_key()
    try:
        crl = x509.load_der_x509_crl(der)
        by_root = isinstance(key, RSAPublicKey) and crl.is_signature_valid(key)
    except X509_ERRORS as error:
        raise EvidenceError("revocations", "crl is not a revocation list in DER") from error
    if not by_root or crl.issuer != root.subject:
        raise EvidenceError("revocations", "the revocation list is not signed by the root")
    issued_s = _seconds(crl.last_update_utc)
    end_s = issued_s if crl.next_update_utc is None else _seconds(crl.next_update_utc)
    if now_s >= end_s:
        raise EvidenceError("revocations", "the revocation list has expired")
    if now_s < issued_s:
        raise EvidenceError(
            "revocations",
            "the revocation list's issue date is in the future: check this machine's clock",
        )
    if crl.get_revoked_certificate_by_serial_number(middle.serial_number) is not None:
        raise EvidenceError("revoked", "AMD revoked the intermediate certificate")
    return issued_s, end_s


def _seconds(time: datetime) -> int:
    return int(time.timestamp())
