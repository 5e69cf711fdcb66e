"""Core, pure, stdlib only: the reports of SGX, TDX and SEV-SNP, and facts about their platforms.

Each TEE measures different things, so each has its own type. Measurements are lower-case hex.
`checks` compares reports with policies.
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
PRODUCT_PARTS: Final = {"Milan": TCB_PARTS[1:], "Genoa": TCB_PARTS[1:], "Turin": TCB_PARTS}
"""The parts of a TCB by AMD's product line; only processors since Turin have `fmc`."""


class TcbStatus(enum.StrEnum):
    """Intel's TCB status of a platform's microcode and configuration, as spelled in TCB info.

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
        """Whether Intel lists vulnerabilities that this platform has not patched."""
        return self in _OUT_OF_DATE


_OUT_OF_DATE: Final = frozenset({TcbStatus.OUT_OF_DATE, TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED})


class PlatformFlag(enum.StrEnum):
    """A property of a machine that a policy accepts only by name.

    Example:
        >>> PlatformFlag("smt_enabled")
        <PlatformFlag.SMT_ENABLED: 'smt_enabled'>
    """

    DYNAMIC_PLATFORM = "dynamic_platform"
    """Processor packages can be added to the machine later."""
    CACHED_KEYS = "cached_keys"
    """Intel's registration service stores the machine's platform root keys."""
    SMT_ENABLED = "smt_enabled"
    """Simultaneous multithreading: two threads share a core and its side channels."""
    ALIASES_UNCHECKED = "aliases_unchecked"
    """AMD's firmware did not check that memory modules hide no second address of a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SgxReport:
    """The report body of an SGX enclave.

    `measurement`: MRENCLAVE. `signer`: MRSIGNER. `product_id`, `svn`: ISVPRODID and ISVSVN.
    `attributes`, `xfrm`: 64 bits each. `config_id`: 64 bytes in hex.
    """

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
    """The report body of a TDX guest (TD).

    `measurement`: MRTD. `registers`: values by the names of `TDX_REGISTERS`. `attributes`, `xfam`:
    64 bits each. `seam_signer`: MRSIGNERSEAM. `service_td`: MRSERVICETD, or zeros if the report
    version has no such field.
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
        """Empty, because a TD has no signer."""
        return ""

    @property
    def svn(self) -> int:
        """0, because a TD has no security version number."""
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpReport:
    """The attestation report of an SEV-SNP guest.

    `version`: of the report format. `product`: AMD's name of the processor line. `leaf`: the kind
    of the signing key, `vcek` or `vlek`. `measurement`: the launch digest. `signer`: the digest of
    the id key. `author_key`: the digest of the author key. `svn`: the guest's SVN. `guest_policy`,
    `platform_info`: 64 bits each, as AMD numbers them. `reported_tcb`, `committed_tcb`,
    `launch_tcb`: versions by the names of `TCB_PARTS`. `cpu`: family, model and stepping, None
    before report version 3.
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
    launch_tcb: Mapping[str, int]
    cpu: tuple[int, int, int] | None = None
    report_data: bytes = field(repr=False)


Report = SgxReport | TdxReport | SnpReport


@dataclass(frozen=True, slots=True, kw_only=True)
class IntelPlatform:
    """Intel's statements about the machine, from its collateral.

    `tcb_status`: of the machine. `qe_status`: of the quoting enclave. `tcb_evaluation`: the lower
    TCB evaluation data number of TCB info and QE identity. `collateral_issued_s`: the issue time of
    the oldest of TCB info, QE identity and PCK revocation list. `collateral_expires_s`: the time
    when the first part of the collateral expires. Both in Unix seconds.
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
    """AMD's statements about the machine, from its endorsements.

    The versions of the TCB are in the report, which the processor signs.
    """

    revocations_checked: bool
    """Whether the endorsements contain AMD's revocation list."""
    collateral_issued_s: int
    """When AMD issued the revocation list, in Unix seconds.

    Without a list, it is the time of verification. A policy's `max_collateral_age_s` then refuses
    nothing, as certificates alone have no age; `revocations_checked` is false.
    """
    collateral_expires_s: int
    """When the first of the certificates and the list expires, in Unix seconds."""


Platform = IntelPlatform | AmdPlatform


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedReport:
    """A report with a verified hardware signature.

    `report_digest`: SHA-256 of the signed bytes, in hex.
    """

    report: Report
    platform: Platform
    report_digest: str
