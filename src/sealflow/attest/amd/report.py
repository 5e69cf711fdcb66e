"""Core, pure: unverified SEV-SNP reports, and AMD's product lines with their roots.

Source of reports: AMD SEV-SNP ABI specification 1.58 (publication 56860), section 7.3 and table 23.
Source of TCB_VERSION: tables 3 and 4. Source of the roots: AMD's key distribution service,
/vcek/v1/<product>/cert_chain, also in google/go-sev-guest (verify/trust).
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
    """A product line of AMD's processors.

    `root_key`: SHA-256 of the SubjectPublicKeyInfo of its root certificate (ARK), in hex. `tcb`:
    the byte offset of each part of a TCB_VERSION.
    """

    name: str
    root_key: str
    tcb: Mapping[str, int]

    def read_tcb(self, tcb: bytes) -> dict[str, int]:
        """Return the version of each part of a TCB_VERSION of 8 bytes."""
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
"""The known product lines. Genoa's root also signs for Bergamo and Siena."""

_MODELS: Final = (
    (0x19, range(0x10), "Milan"),
    (0x19, range(0x10, 0x20), "Genoa"),
    (0x19, range(0xA0, 0xB0), "Genoa"),
    (0x1A, range(0x12), "Turin"),
)
"""CPUID family, models and product line. Source: AMD KDS interface specification, table 3."""


def product_line(cpu: tuple[int, int] | None) -> str:
    """Return the product line of a CPUID family and model; empty if it is unknown."""
    if cpu is None:
        return ""
    family, model = cpu
    return next((name for each, models, name in _MODELS if family == each and model in models), "")


class ReportKeyKind(enum.StrEnum):
    """The kind of the key that signs reports.

    A VCEK belongs to one chip. A VLEK is one that AMD issued to a cloud provider.
    """

    VCEK = "vcek"
    VLEK = "vlek"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedReport:
    """The fields of an unverified report.

    `leaf`: the kind of the signing key. `reported_tcb`, `committed_tcb`, `launch_tcb`: TCB_VERSION,
    8 bytes that `Product.read_tcb` decodes. `chip_id`: None if the processor hides it. `cpu`: CPUID
    family and model, None before report version 3. `r`, `s`: the ECDSA signature over `signed`.
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
    launch_tcb: bytes
    chip_id: bytes | None
    cpu: tuple[int, int] | None
    stepping: int
    signed: bytes = field(repr=False)
    r: int = field(repr=False)
    s: int = field(repr=False)

    @classmethod
    def from_bytes(cls, report: bytes) -> Self:
        """Parse a report.

        Raises: MalformedError.
        """
        if len(report) != SNP_REPORT_BYTES:
            raise MalformedError(f"the report is not {SNP_REPORT_BYTES} bytes long")
        version, guest_svn, guest_policy = _HEAD.unpack_from(report)
        if version not in VERSIONS:
            raise MalformedError(f"the report's version {version} is not one of 2 to 5")
        vmpl, algorithm = struct.unpack_from("<II", report, 0x30)
        if algorithm != _ECDSA_P384_SHA384:
            raise MalformedError("the report is not signed with ECDSA P-384 and SHA-384")
        (platform_info, flags) = struct.unpack_from("<QI", report, 0x40)
        leaf = {_VCEK: ReportKeyKind.VCEK, _VLEK: ReportKeyKind.VLEK}.get(flags >> 2 & 0x7)
        if leaf is None:
            raise MalformedError("the report is not signed by a VCEK or VLEK")
        r, s, rest = (
            report[SNP_SIGNED_BYTES:][:_NUMBER_BYTES],
            report[SNP_SIGNED_BYTES + _NUMBER_BYTES :][:_NUMBER_BYTES],
            report[SNP_SIGNED_BYTES + 2 * _NUMBER_BYTES :],
        )
        if any(rest):
            raise MalformedError("bytes other than zero follow the report's signature")
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
            launch_tcb=report[0x1F0:0x1F8],
            chip_id=None if flags & _MASK_CHIP_KEY else report[0x1A0:0x1E0],
            cpu=(report[0x188], report[0x189]) if version >= _WITH_CPU else None,
            stepping=report[0x18A],
            signed=report[:SNP_SIGNED_BYTES],
            r=int.from_bytes(r, "little"),
            s=int.from_bytes(s, "little"),
        )
