"""Core, pure: the checks of SGX enclaves, TDX guests (TDs) and Intel's platforms against a policy.

MRENCLAVE does not cover the attributes of an SGX enclave, so they are checked here. Spec:
attestation.md, 4.3 to 4.5. Source: Intel SDM volume 3D, section 36.7 (SECS) and chapter 40; Intel
TDX Module ABI specification, TD_PARAMS, ATTRIBUTES and XFAM; TDREPORT_STRUCT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from sealflow.attest.checks import accepted_statuses, among, at_least, bits, equal
from sealflow.attest.reports import TDX_REGISTERS
from sealflow.errors import Mismatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sealflow.attest.reports import IntelPlatform, SgxReport, TdxReport
    from sealflow.attest.requirements import Requirements
    from sealflow.attest.vm_requirements import TdxRequirements


_SGX_DEBUG: Final = 0x02
_SGX_MUST: Final = 0x05
"""INIT and MODE64BIT."""
_SGX_MAY: Final = 0x04C0
"""CET, KSS and AEXNOTIFY; not DEBUG, PROVISION_KEY, EINITTOKEN_KEY nor a reserved bit."""
_XFRM_MUST: Final = 0x03
_XFRM_MAY: Final = 0x061AFC
"""AVX, MPX, AVX-512, PKRU, CET and AMX."""
_MISC_MAY: Final = 0x03
"""EXINFO and CPINFO."""
_NO_CONFIG: Final = "00" * 64
_TD_UNDER_DEBUG: Final = 0xFF
"""TUD, the bits of a TD under debug: with any of them set the TD is not protected."""
_TDX_MUST: Final = 1 << 28
"""SEPT_VE_DISABLE: the host cannot remove a page and make the guest accept another one."""
_TDX_MAY: Final = 1 << 27 | 1 << 30 | 1 << 31
"""LASS, PKS and KL; not MIGRATABLE, PERFMON nor a reserved bit."""
_XFAM_MUST: Final = 0x03
_XFAM_MAY: Final = 0x06DBE4
_ZERO: Final = "00" * 48


class RatedPlatform(Protocol):
    """Intel's verdict on a machine, as its collateral or a passport says."""

    @property
    def tcb_status(self) -> str:
        """The status of the machine."""

    @property
    def qe_status(self) -> str:
        """The status of its quoting enclave."""

    @property
    def advisories(self) -> tuple[str, ...]:
        """The ids of the security advisories that apply to it."""


def check_sgx(report: SgxReport) -> Iterator[Mismatch]:
    """Check ATTRIBUTES, XFRM, MISCSELECT, CONFIGID and CONFIGSVN of an enclave."""
    hint = "a debug enclave" if report.attributes & _SGX_DEBUG else "not a production enclave"
    yield from bits("attributes", _SGX_MUST, _SGX_MAY, report.attributes, hint)
    yield from bits(
        "xfrm", _XFRM_MUST, _XFRM_MAY, report.xfrm, "the enclave uses unknown processor features"
    )
    yield from bits(
        "misc_select", 0, _MISC_MAY, report.misc_select, "the enclave has unknown MISC fields"
    )
    yield from equal(
        "config_id",
        "",
        f"{_NO_CONFIG} svn 0",
        f"{report.config_id} svn {report.config_svn}",
        "the host set a configuration id, which the measurement does not cover",
    )


def check_tdx(report: TdxReport, required: TdxRequirements | None) -> Iterator[Mismatch]:
    """Check attributes, XFAM, TDX module and service TD of a TD, then its registers."""
    hint = "a debug TD" if report.attributes & _TD_UNDER_DEBUG else "not a production TD"
    yield from bits("attributes", _TDX_MUST, _TDX_MAY, report.attributes, hint)
    yield from bits(
        "xfam", _XFAM_MUST, _XFAM_MAY, report.xfam, "the TD uses unknown processor features"
    )
    yield from equal("seam_signer", "", _ZERO, report.seam_signer, "not Intel's TDX module")
    yield from bits("seam_attributes", 0, 0, report.seam_attributes, "a TDX module for debugging")
    yield from equal(
        "service_td", "", _ZERO, report.service_td, "a service TD could migrate or change the TD"
    )
    if required is None:
        yield Mismatch(
            code="tee", field="tdx", expected="not a TD", got="a TD",
            hint="the policy has no table tdx",
        )  # fmt: skip
        return
    yield from check_registers(report.registers, required)


def check_registers(registers: Mapping[str, str], required: TdxRequirements) -> Iterator[Mismatch]:
    """Compare the registers of a TD with the policy; one that is absent matches nothing."""
    for name in TDX_REGISTERS:
        if name not in required.insecure_unchecked_registers:
            yield from among(
                name,
                f"tdx.{name}",
                required.registers.get(name) or {_ZERO},
                registers.get(name, ""),
                "the TD has other firmware, kernel or settings than the policy accepts",
            )


def check_intel(platform: IntelPlatform, required: Requirements, now_ms: int) -> Iterator[Mismatch]:
    """Check TCB status of platform and quoting enclave, advisories, flags, evaluation number."""
    yield from check_statuses(platform, required, now_ms)
    flags = platform.flags - required.platform_flags
    if flags:
        yield Mismatch(
            code="platform_flags",
            field="platform_flags",
            expected="only " + (", ".join(sorted(required.platform_flags)) or "none"),
            got=", ".join(sorted(flags)),
            hint="change the machine's settings, or accept the flags by name",
        )
    yield from at_least(
        "tcb_evaluation",
        "min_tcb_evaluation",
        required.min_tcb_evaluation,
        platform.tcb_evaluation,
        "the operator must fetch new collateral",
    )


def check_statuses(
    platform: RatedPlatform, required: Requirements, now_ms: int
) -> Iterator[Mismatch]:
    """Check TCB status of platform and quoting enclave, and advisories."""
    accepted, hint = accepted_statuses(required, now_ms)
    for code, status in (("tcb_status", platform.tcb_status), ("qe_status", platform.qe_status)):
        yield from among(code, "tcb_statuses", accepted, status, hint)
    unaccepted = [each for each in platform.advisories if each not in required.advisories]
    if unaccepted:
        yield Mismatch(
            code="advisories",
            field="advisories",
            expected="only " + (", ".join(sorted(required.advisories)) or "none"),
            got=", ".join(unaccepted),
            hint="read the advisories, then update the platform or accept them by name",
        )
