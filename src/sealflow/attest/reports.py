"""Core, pure, stdlib only: what genuine hardware says about an enclave, as values.

One type for each kind of hardware, because they measure different things; `Claims` holds one of
them. Measurements are lower-case hex. Nothing here says whether a report will do: see `checks`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


RTMRS: Final = ("rtmr0", "rtmr1", "rtmr2", "rtmr3")
TDX_REGISTERS: Final = (*RTMRS, "mr_config_id", "mr_owner", "mr_owner_config")
TCB_PARTS: Final = ("fmc", "bootloader", "tee", "snp", "microcode")


class TcbStatus(enum.StrEnum):
    """Intel's verdict on a platform's microcode and configuration, spelled as in collateral.

    Example:
        >>> TcbStatus("OutOfDate").out_of_date
        True
    """

    UP_TO_DATE = "UpToDate"
    SW_HARDENING_NEEDED = "SWHardeningNeeded"
    CONFIGURATION_NEEDED = "ConfigurationNeeded"
    CONFIGURATION_AND_SW_HARDENING_NEEDED = "ConfigurationAndSWHardeningNeeded"
    OUT_OF_DATE = "OutOfDate"
    OUT_OF_DATE_CONFIGURATION_NEEDED = "OutOfDateConfigurationNeeded"
    TD_RELAUNCH_ADVISED = "TDRelaunchAdvised"
    TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED = "TDRelaunchAdvisedConfigurationNeeded"

    @property
    def out_of_date(self) -> bool:
        """Whether known attacks work against such a platform."""
        return self in _OUT_OF_DATE


_OUT_OF_DATE: Final = frozenset({TcbStatus.OUT_OF_DATE, TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED})


class PlatformFlag(enum.StrEnum):
    """Properties of a machine that a policy must allow by name.

    Example:
        >>> PlatformFlag("smt_enabled")
        <PlatformFlag.SMT_ENABLED: 'smt_enabled'>
    """

    DYNAMIC_PLATFORM = "dynamic_platform"
    """Packages (processors) can be added to the machine."""
    CACHED_KEYS = "cached_keys"
    """Intel keeps the machine's root keys, as for machines of several packages."""
    SMT_ENABLED = "smt_enabled"
    """Two threads share a core, and so its side channels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SgxReport:
    """An SGX enclave. `attributes`, `xfrm`: 64 bits each. `config_id`: 64 bytes in hex."""

    measurement: str
    signer: str
    product_id: int
    svn: int
    attributes: int
    xfrm: int
    misc_select: int
    config_id: str
    config_svn: int
    report_data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TdxReport:
    """A TDX trust domain. `measurement` is MRTD; `registers`: the names of `TDX_REGISTERS`.

    `service_td`: MRSERVICETD, zeros where the report has none. `attributes`, `xfam`: 64 bits each.
    """

    measurement: str
    registers: Mapping[str, str]
    attributes: int
    xfam: int
    seam_signer: str
    seam_attributes: int
    service_td: str
    report_data: bytes = field(repr=False)

    @property
    def signer(self) -> str:
        """Nobody signs a trust domain."""
        return ""

    @property
    def svn(self) -> int:
        """Trust domains have no security version of their own."""
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpReport:
    """An SEV-SNP guest. `signer`: digest of the id key, `svn`: the guest's.

    `guest_policy`, `platform_info`: 64 bits each, as AMD numbers them. The TCBs are by the names of
    `TCB_PARTS`. `product`: AMD's name of the processor line. `leaf`: `vcek` or `vlek`.
    """

    version: int
    product: str
    leaf: str
    measurement: str
    signer: str
    svn: int
    guest_policy: int
    vmpl: int
    platform_info: int
    host_data: str
    author_key: str
    chip_id: str
    reported_tcb: Mapping[str, int]
    committed_tcb: Mapping[str, int]
    report_data: bytes = field(repr=False)


Report = SgxReport | TdxReport | SnpReport


@dataclass(frozen=True, slots=True, kw_only=True)
class IntelPlatform:
    """What Intel says about the machine.

    `collateral_issued_s`: when the oldest of TCB info, QE identity and PCK revocation list was
    issued; `collateral_expires_s`: when the first part expires. Unix seconds.
    """

    tcb_status: TcbStatus
    qe_status: TcbStatus
    advisories: tuple[str, ...]
    tcb_evaluation: int
    flags: frozenset[PlatformFlag]
    collateral_issued_s: int
    collateral_expires_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AmdPlatform:
    """What AMD says about the machine; its TCB versions are in the report.

    `revocations_checked`: whether a revocation list was shown. Without one, `collateral_issued_s`
    is when the leaf certificate was issued.
    """

    revocations_checked: bool
    collateral_issued_s: int
    collateral_expires_s: int


Platform = IntelPlatform | AmdPlatform


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedReport:
    """A report that hardware signed. `report_digest`: SHA-256 of the signed bytes, in hex."""

    report: Report
    platform: Platform
    report_digest: str
