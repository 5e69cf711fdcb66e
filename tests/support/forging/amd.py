"""A chip of AMD's kind with certificates, list and reports; every part can be replaced alone."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding

from sealflow.attest.amd.endorsements import Endorsements
from tests.support.forging.certificates import DAY_S, NOW_S, common_name, moment
from tests.support.forging.rsa_keys import pss_signature, rsa_key

if TYPE_CHECKING:
    from collections.abc import Mapping

AMD = "1.3.6.1.4.1.3704.1"
CHIP = bytes(range(64))
PARTS = {"bootloader": 1, "tee": 2, "snp": 3, "microcode": 8, "fmc": 9}
MILAN = {"bootloader": 3, "tee": 1, "snp": 8, "microcode": 200}
TURIN = {"fmc": 2, **MILAN}
GUEST_POLICY = 0x3_0000
PLATFORM_INFO = 0x21
BODY_BYTES = 0x2A0


@dataclass(frozen=True, kw_only=True)
class AmdCertificate:
    """A certificate; `key` names an RSA key, or is empty for the chip's own."""

    subject: str
    issuer: str
    key: str
    signer: str
    serial: int
    ca: bool | None = None
    start_s: int = NOW_S - 100 * DAY_S
    end_s: int = NOW_S + 3000 * DAY_S
    algorithm: str = "sha384"
    pkcs1: bool = False
    curve: str = "p384"
    extra: tuple[tuple[str, bytes], ...] = ()

    def der(self) -> bytes:
        """Sign it."""
        return _build(self)


@cache
def chip_key(curve: str) -> ec.EllipticCurvePrivateKey:
    """The chip's key on P-384, or one on P-256 in its place."""
    return ec.derive_private_key(
        int.from_bytes(b"forged chip " + curve.encode()),
        ec.SECP384R1() if curve == "p384" else ec.SECP256R1(),
    )


@cache
def _build(wanted: AmdCertificate) -> bytes:
    public = (rsa_key(wanted.key) if wanted.key else chip_key(wanted.curve)).public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(common_name(wanted.subject))
        .issuer_name(common_name(wanted.issuer))
        .public_key(public)
        .serial_number(wanted.serial)
        .not_valid_before(moment(wanted.start_s))
        .not_valid_after(moment(wanted.end_s))
    )
    if wanted.ca is not None:
        constraints = x509.BasicConstraints(ca=wanted.ca, path_length=None)
        builder = builder.add_extension(constraints, critical=True)
    for oid, value in wanted.extra:
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
        builder = builder.add_extension(extension, critical=False)
    if wanted.pkcs1:
        return builder.sign(rsa_key(wanted.signer), SHA384()).public_bytes(Encoding.DER)
    digest = SHA384() if wanted.algorithm == "sha384" else SHA256()
    padding = PSS(mgf=MGF1(digest), salt_length=digest.digest_size)
    drawn = builder.sign(rsa_key(wanted.signer), digest, rsa_padding=padding)
    return _resigned(
        drawn.public_bytes(Encoding.DER),
        pss_signature(wanted.signer, drawn.tbs_certificate_bytes, wanted.algorithm),
    )


def _resigned(der: bytes, signature: bytes) -> bytes:
    """Put a signature in the place of one whose salt was drawn."""
    return der[: -len(signature)] + signature


@dataclass(frozen=True, kw_only=True)
class AmdList:
    """A revocation list of the root."""

    issuer: str = "ARK"
    signer: str = "ARK"
    issued_s: int = NOW_S - DAY_S
    end_s: int | None = NOW_S + 30 * DAY_S
    revoked: tuple[int, ...] = ()

    def der(self) -> bytes:
        """Sign it."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(common_name(self.issuer))
            .last_update(moment(self.issued_s))
            .next_update(moment(self.end_s or NOW_S + DAY_S))
        )
        for serial in self.revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial)
            entry = entry.revocation_date(moment(self.issued_s))
            builder = builder.add_revoked_certificate(entry.build())
        padding = PSS(mgf=MGF1(SHA384()), salt_length=48)
        drawn = builder.sign(rsa_key(self.signer), SHA384(), rsa_padding=padding)
        return _resigned(
            drawn.public_bytes(Encoding.DER),
            pss_signature(self.signer, drawn.tbs_certlist_bytes),
        )


def leaf_extensions(
    tcb: Mapping[str, int] = MILAN,
    *,
    product: str = "Milan-B0",
    chip: bytes | None = CHIP,
    cloud: bool = False,
) -> tuple[tuple[str, bytes], ...]:
    """What AMD writes into the certificate of a chip (VCEK) or of a cloud (VLEK)."""
    found = [(f"{AMD}.2", b"\x16" + bytes([len(product)]) + product.encode())]
    found += [(f"{AMD}.3.{PARTS[part]}", _integer(svn)) for part, svn in tcb.items()]
    if cloud:
        found.append((f"{AMD}.5", b"\x16\x05cloud"))
    if chip is not None and not cloud:
        found.append((f"{AMD}.4", chip))
    return tuple(found)


def _integer(value: int) -> bytes:
    content = value.to_bytes(value.bit_length() // 8 + 1)
    return b"\x02" + bytes([len(content)]) + content


def _certificates() -> dict[str, AmdCertificate]:
    return {
        "root": AmdCertificate(
            subject="ARK", issuer="ARK", key="ARK", signer="ARK", serial=11, ca=True
        ),
        "middle": AmdCertificate(
            subject="SEV", issuer="ARK", key="ASK", signer="ARK", serial=22, ca=True
        ),
        "leaf": AmdCertificate(
            subject="SEV-VCEK",
            issuer="SEV",
            key="",
            signer="ASK",
            serial=33,
            extra=leaf_extensions(),
        ),
    }


@dataclass(frozen=True, kw_only=True)
class AmdForge:
    """One chip, what AMD issued for it, and its reports."""

    certificates: Mapping[str, AmdCertificate] = field(default_factory=_certificates)
    crl: AmdList | None = field(default_factory=AmdList)
    parts: Mapping[str, bytes] = field(default_factory=dict)

    def certificate(self, name: str, **changes: Any) -> AmdForge:
        """Replace root, middle or leaf."""
        changed = replace(self.certificates[name], **changes)
        return replace(self, certificates={**self.certificates, name: changed})

    def leaf(self, tcb: Mapping[str, int] = MILAN, **changes: Any) -> AmdForge:
        """Replace what the leaf says of the chip."""
        return self.certificate("leaf", extra=leaf_extensions(tcb, **changes))

    def listing(self, **changes: Any) -> AmdForge:
        """Replace the revocation list's fields."""
        return replace(self, crl=replace(AmdList(), **changes))

    def with_parts(self, **parts: bytes) -> AmdForge:
        """Replace whole parts of the collateral."""
        return replace(self, parts={**self.parts, **parts})

    @property
    def root_der(self) -> bytes:
        """The root that a verifier is told to trust."""
        return self.certificates["root"].der()

    def collateral(self) -> bytes:
        """The four parts as JSON."""
        parts = {
            "leaf": self.certificates["leaf"].der(),
            "intermediate": self.certificates["middle"].der(),
            "root": self.root_der,
            "crl": b"" if self.crl is None else self.crl.der(),
            **self.parts,
        }
        return Endorsements(**parts).to_bytes()

    def report(self, report_data: bytes, *, signature: Any = None, **fields: Any) -> bytes:
        """Sign a report, 1,184 bytes. `signature` changes r, s or the bytes behind them."""
        body = report_body(report_data, **fields)
        algorithm = ec.ECDSA(SHA384(), deterministic_signing=True)
        r, s = decode_dss_signature(chip_key("p384").sign(body, algorithm))
        encoded = r.to_bytes(72, "little") + s.to_bytes(72, "little")
        whole = body + encoded.ljust(512, b"\0")
        return signature(whole) if signature else whole


def report_body(report_data: bytes, *, tcb: Mapping[str, int] = MILAN, **fields: Any) -> bytes:
    """The signed part of a report; `fields` are its fields by name."""
    values: dict[str, Any] = {
        "version": 3, "svn": 5, "guest_policy": GUEST_POLICY, "vmpl": 0, "algorithm": 1,
        "signing_key": 0, "hidden_chip": False, "measurement": b"\x11" * 48, "host_data": bytes(32),
        "id_key": b"\x22" * 48, "author_key": bytes(48), "platform_info": PLATFORM_INFO,
        "reported": tcb_bytes(tcb), "committed": tcb_bytes(tcb),
        "launch": tcb_bytes(tcb), "chip": CHIP, "cpu": (0x19, 1), **fields,
    }  # fmt: skip
    body = bytearray(BODY_BYTES)
    struct.pack_into("<IIQ", body, 0, values["version"], values["svn"], values["guest_policy"])
    struct.pack_into("<II", body, 0x30, values["vmpl"], values["algorithm"])
    flags = values["signing_key"] << 2 | int(values["hidden_chip"]) << 1
    struct.pack_into("<QI", body, 0x40, values["platform_info"], flags)
    if values["version"] > 2:
        body[0x188 : 0x188 + len(values["cpu"])] = bytes(values["cpu"])
    for at, value in (
        (0x50, report_data),
        (0x90, values["measurement"]),
        (0xC0, values["host_data"]),
        (0xE0, values["id_key"]),
        (0x110, values["author_key"]),
        (0x180, values["reported"]),
        (0x1A0, values["chip"].ljust(64, b"\0")),
        (0x1E0, values["committed"]),
        (0x1F0, values["launch"]),
    ):
        body[at : at + len(value)] = value
    return bytes(body)


def tcb_bytes(tcb: Mapping[str, int]) -> bytes:
    """A TCB as the product writes it: with `fmc` since Turin."""
    order = ("bootloader", "tee", "", "", "", "", "snp", "microcode")
    if "fmc" in tcb:
        order = ("fmc", "bootloader", "tee", "snp", "", "", "", "microcode")
    return bytes(tcb.get(part, 0) for part in order)
