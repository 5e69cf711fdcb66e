"""Core, pure: an SEV-SNP report and its processor's product line, before verification.

Source: AMD's key distribution service, /vcek/v1/<product>/cert_chain, as also held by
google/go-sev-guest (verify/trust); TCB_VERSION in AMD SEV-SNP ABI specification 1.58, tables 3, 4.

Source: AMD SEV-SNP ABI specification 1.58 (publication 56860), section 7.3 and table 23.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from sealflow.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Mapping


_BEFORE_TURIN: Final = {"bootloader": 0, "tee": 1, "snp": 6, "microcode": 7}
_SINCE_TURIN: Final = {"fmc": 0, "bootloader": 1, "tee": 2, "snp": 3, "microcode": 7}
SNP_REPORT_BYTES: Final = 1184
SNP_SIGNED_BYTES: Final = 0x2A0
VERSIONS: Final = range(2, 6)
_WITH_CPU: Final = 3
_ECDSA_P384_SHA384: Final = 1
_NUMBER_BYTES: Final = 72
_HEAD: Final = struct.Struct("<IIQ")
_VCEK, _VLEK = 0, 1
_MASK_CHIP_KEY: Final = 1 << 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One line. `root_key`: SHA-256 of the ARK's SubjectPublicKeyInfo. `tcb`: byte by part."""

    name: str
    root_key: str
    tcb: Mapping[str, int]

    def read_tcb(self, tcb: bytes) -> dict[str, int]:
        """Return the versions by part."""
        return {part: tcb[at] for part, at in self.tcb.items()}


PRODUCTS: Final = (
    Product(
        name="Milan",
        root_key="9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9",
        tcb=_BEFORE_TURIN,
    ),
    Product(
        name="Genoa",
        root_key="429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831",
        tcb=_BEFORE_TURIN,
    ),
    Product(
        name="Turin",
        root_key="4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08",
        tcb=_SINCE_TURIN,
    ),
)
"""Genoa's root also signs for Bergamo and Siena."""

_MODELS: Final = (
    (0x19, range(0x10), "Milan"),
    (0x19, range(0x10, 0x20), "Genoa"),
    (0x19, range(0xA0, 0xB0), "Genoa"),
    (0x1A, range(0x12), "Turin"),
)
"""Source: AMD KDS interface specification, table 3; CPUID family and model of reports since
version 3."""


def product_line(cpu: tuple[int, int] | None) -> str:
    """Name the line of a processor by CPUID family and model; empty when that is not known."""
    if cpu is None:
        return ""
    family, model = cpu
    return next((name for each, models, name in _MODELS if family == each and model in models), "")


class ReportKeyKind(enum.StrEnum):
    """Which of AMD's keys signs reports: one chip's own, or one that a cloud holds."""

    VCEK = "vcek"
    VLEK = "vlek"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedReport:
    """The fields of a report. TCBs are 8 bytes whose meaning depends on the processor.

    `chip_id`: None when the processor hides it. `cpu`: CPUID family and model, None before version
    3. `r`, `s`: the signature over `signed`.
    """

    version: int
    guest_svn: int
    guest_policy: int
    vmpl: int
    platform_info: int
    leaf: ReportKeyKind
    report_data: bytes = field(repr=False)
    measurement: bytes
    host_data: bytes
    id_key: bytes
    author_key: bytes
    reported_tcb: bytes
    committed_tcb: bytes
    chip_id: bytes | None
    cpu: tuple[int, int] | None
    signed: bytes = field(repr=False)
    r: int = field(repr=False)
    s: int = field(repr=False)

    @classmethod
    def from_bytes(cls, report: bytes) -> Self:
        """Cut a report into its fields.

        Raises: MalformedError.
        """
        if len(report) != SNP_REPORT_BYTES:
            raise MalformedError(f"not the {SNP_REPORT_BYTES} bytes of an SNP report")
        version, guest_svn, guest_policy = _HEAD.unpack_from(report)
        if version not in VERSIONS:
            raise MalformedError(f"version {version} is none of 2 to 5")
        vmpl, algorithm = struct.unpack_from("<II", report, 0x30)
        if algorithm != _ECDSA_P384_SHA384:
            raise MalformedError("not signed with ECDSA P-384 and SHA-384")
        (platform_info, flags) = struct.unpack_from("<QI", report, 0x40)
        leaf = {_VCEK: ReportKeyKind.VCEK, _VLEK: ReportKeyKind.VLEK}.get(flags >> 2 & 0x7)
        if leaf is None:
            raise MalformedError("not signed by a VCEK or VLEK")
        r, s, rest = (
            report[SNP_SIGNED_BYTES:][:_NUMBER_BYTES],
            report[SNP_SIGNED_BYTES + _NUMBER_BYTES :][:_NUMBER_BYTES],
            report[SNP_SIGNED_BYTES + 2 * _NUMBER_BYTES :],
        )
        if any(rest):
            raise MalformedError("something follows the signature")
        return cls(
            version=version,
            guest_svn=guest_svn,
            guest_policy=guest_policy,
            vmpl=vmpl,
            platform_info=platform_info,
            leaf=leaf,
            report_data=report[0x50:0x90],
            measurement=report[0x90:0xC0],
            host_data=report[0xC0:0xE0],
            id_key=report[0xE0:0x110],
            author_key=report[0x110:0x140],
            reported_tcb=report[0x180:0x188],
            committed_tcb=report[0x1E0:0x1E8],
            chip_id=None if flags & _MASK_CHIP_KEY else report[0x1A0:0x1E0],
            cpu=(report[0x188], report[0x189]) if version >= _WITH_CPU else None,
            signed=report[:SNP_SIGNED_BYTES],
            r=int.from_bytes(r, "little"),
            s=int.from_bytes(s, "little"),
        )
