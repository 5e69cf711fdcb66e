"""Core, pure, stdlib only: an SEV-SNP attestation report, cut into its fields, nothing verified.

Source: AMD SEV-SNP ABI specification 1.58 (publication 56860), section 7.3 and table 23.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass, field
from typing import Final, Self

from sealflow.attest.layout import SNP_REPORT_BYTES, SNP_SIGNED_BYTES
from sealflow.errors import MalformedError

VERSIONS: Final = range(2, 6)
_WITH_CPU: Final = 3
_ECDSA_P384_SHA384: Final = 1
_NUMBER_BYTES: Final = 72
_HEAD: Final = struct.Struct("<IIQ")
_VCEK, _VLEK = 0, 1
_MASK_CHIP_KEY: Final = 1 << 1


class Leaf(enum.StrEnum):
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
    leaf: Leaf
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
    def parse(cls, report: bytes) -> Self:
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
        leaf = {_VCEK: Leaf.VCEK, _VLEK: Leaf.VLEK}.get(flags >> 2 & 0x7)
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
