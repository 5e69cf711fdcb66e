"""A test root of AMD with intermediate, chip key, revocation list, and reports of any content."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from sealflow.attest.amd.endorsements import Endorsements

AMD = "1.3.6.1.4.1.3704.1"
CHIP = bytes(range(64))
TCB = {"bootloader": 3, "tee": 1, "snp": 8, "microcode": 200}
GUEST_POLICY = 0x3_0000
PLATFORM_INFO = 0x21
"""SMT is on, and the firmware checked memory modules for aliases."""
DAY = timedelta(days=1)


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """A key by name; small and drawn once, because drawing takes long."""
    del name
    return rsa.generate_private_key(65537, 2048)


@dataclass(frozen=True, kw_only=True)
class SnpAuthority:
    """Everything AMD would issue for one chip, valid from `issued`; every knob is an attack."""

    issued: datetime
    product: str = "Milan-B0"
    vlek: bool = False
    chip: bytes = CHIP
    tcb: tuple[tuple[str, int], ...] = tuple(TCB.items())
    middle_ca: bool | None = True
    leaf_signer: str = "middle"
    leaf_hash: type[SHA384] | type[SHA256] = SHA384
    leaf_curve: ec.EllipticCurve | None = None
    leaf_life: timedelta = 700 * DAY
    wrap_chip: bool = False
    drop: str = ""

    @property
    def leaf_key(self) -> ec.EllipticCurvePrivateKey:
        """The chip's key."""
        return _leaf_key(type(self.leaf_curve or ec.SECP384R1()))

    def root(self) -> bytes:
        """The root in DER."""
        return self._root().public_bytes(Encoding.DER)

    def endorsements(self, *, crl: bytes | None = None) -> Endorsements:
        """What travels beside a report."""
        return Endorsements(
            leaf=self._leaf().public_bytes(Encoding.DER),
            intermediate=self._middle().public_bytes(Encoding.DER),
            root=self.root(),
            crl=self.crl() if crl is None else crl,
        )

    def crl(
        self, *revoked: int, signer: str = "root", issuer: str = "ARK", days: int = 30
    ) -> bytes:
        """A revocation list."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(_name(issuer))
            .last_update(self.issued)
            .next_update(self.issued + days * DAY)
        )
        for serial in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(serial)
                .revocation_date(self.issued)
                .build()
            )
        signed = builder.sign(rsa_key(signer), SHA384(), rsa_padding=_pss(SHA384))
        return signed.public_bytes(Encoding.DER)

    def middle_serial(self) -> int:
        """The number that a list revokes the intermediate by."""
        return 22

    def _root(self) -> x509.Certificate:
        return _issue("ARK", "ARK", rsa_key("root"), "root", self.issued, 11, ca=True)

    def _middle(self) -> x509.Certificate:
        key = rsa_key("middle")
        return _issue("SEV", "ARK", key, "root", self.issued, 22, ca=self.middle_ca)

    def _leaf(self) -> x509.Certificate:
        chip = b"\x04" + bytes([len(self.chip)]) + self.chip if self.wrap_chip else self.chip
        oids = {"bootloader": 1, "tee": 2, "snp": 3, "microcode": 8, "fmc": 9}
        extensions = {
            f"{AMD}.2": b"\x16" + bytes([len(self.product)]) + self.product.encode(),
            **{f"{AMD}.3.{oids[part]}": _integer(svn) for part, svn in self.tcb},
            **({f"{AMD}.5": b"\x16\x05cloud"} if self.vlek else {f"{AMD}.4": chip}),
        }
        extensions.pop(self.drop, None)
        return _issue(
            "SEV-VCEK",
            "SEV",
            self.leaf_key,
            self.leaf_signer,
            self.issued,
            33,
            extensions=tuple(extensions.items()),
            digest=self.leaf_hash,
            life=self.leaf_life,
        )

    def report(  # noqa: PLR0913 - each is a field of the report
        self,
        report_data: bytes = bytes(64),
        *,
        version: int = 3,
        measurement: bytes = b"\x11" * 48,
        guest_policy: int = GUEST_POLICY,
        vmpl: int = 0,
        svn: int = 5,
        algorithm: int = 1,
        signing_key: int | None = None,
        mask_chip: bool = False,
        host_data: bytes = bytes(32),
        id_key: bytes = bytes(48),
        chip: bytes | None = None,
        reported: bytes | None = None,
        committed: bytes | None = None,
        launch: bytes | None = None,
        author_key: bytes = bytes(48),
        platform_info: int = PLATFORM_INFO,
        cpu: tuple[int, ...] = (0x19, 1),
    ) -> bytes:
        """Sign a report, 1,184 bytes."""
        body = bytearray(0x2A0)
        struct.pack_into("<IIQ", body, 0, version, svn, guest_policy)
        struct.pack_into("<II", body, 0x30, vmpl, algorithm)
        key = int(self.vlek) if signing_key is None else signing_key
        struct.pack_into("<QI", body, 0x40, platform_info, key << 2 | int(mask_chip) << 1)
        tcb = self.tcb_bytes()
        if version > 2:
            body[0x188 : 0x188 + len(cpu)] = bytes(cpu)
        for at, value in (
            (0x50, report_data),
            (0x90, measurement),
            (0xC0, host_data),
            (0xE0, id_key),
            (0x110, author_key),
            (0x180, tcb if reported is None else reported),
            (0x1A0, (self.chip.ljust(64, b"\0") if chip is None else chip)),
            (0x1E0, tcb if committed is None else committed),
            (0x1F0, tcb if launch is None else launch),
        ):
            body[at : at + len(value)] = value
        r, s = decode_dss_signature(self.leaf_key.sign(bytes(body), ec.ECDSA(SHA384())))
        signature = r.to_bytes(72, "little") + s.to_bytes(72, "little")
        return bytes(body) + signature.ljust(512, b"\0")

    def tcb_bytes(self) -> bytes:
        """The TCB as this product writes it."""
        tcb = dict(self.tcb)
        if self.product.startswith("Turin"):
            order = ("fmc", "bootloader", "tee", "snp", "", "", "", "microcode")
        else:
            order = ("bootloader", "tee", "", "", "", "", "snp", "microcode")
        return bytes(tcb.get(part, 0) for part in order)


@cache
def _leaf_key(curve: type[ec.EllipticCurve]) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve())


def _pss(digest: type[SHA384] | type[SHA256]) -> PSS:
    return PSS(mgf=MGF1(digest()), salt_length=digest().digest_size)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _integer(value: int) -> bytes:
    content = value.to_bytes(value.bit_length() // 8 + 1)
    return b"\x02" + bytes([len(content)]) + content


@cache
def _issue(  # noqa: PLR0913 - each is a field of the certificate
    subject: str,
    issuer: str,
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    signer: str,
    issued: datetime,
    serial: int,
    *,
    ca: bool | None = None,
    extensions: tuple[tuple[str, bytes], ...] = (),
    digest: type[SHA384] | type[SHA256] = SHA384,
    life: timedelta = 9000 * DAY,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(issued)
        .not_valid_after(issued + life)
    )
    if ca is not None:
        constraints = x509.BasicConstraints(ca=ca, path_length=None)
        builder = builder.add_extension(constraints, critical=True)
    for oid, value in extensions:
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(rsa_key(signer), digest(), rsa_padding=_pss(digest))


def snp_authority(now_s: int, **changes: object) -> SnpAuthority:
    """Found one that issued everything an hour before `now_s`."""
    issued = datetime.fromtimestamp(now_s - 3600, UTC)
    return SnpAuthority(issued=issued, **changes)  # type: ignore[arg-type]  # knobs by name
