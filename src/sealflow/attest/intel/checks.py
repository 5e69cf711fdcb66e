"""Core, pure: what a policy demands of SGX enclaves, TDX guests and Intel's platforms.

MRENCLAVE covers none of the attributes of SGX. Source: Intel SDM volume 3D, section 36.7 (SECS) and
chapter 40; Intel TDX Module ABI specification, TD_PARAMS, ATTRIBUTES and XFAM; TDREPORT_STRUCT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealflow.attest.checks import accepted_statuses, among, at_least, bits, equal
from sealflow.attest.reports import TDX_REGISTERS
from sealflow.errors import Mismatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealflow.attest.reports import IntelPlatform, SgxReport, TdxReport
    from sealflow.attest.requirements import Requirements, TdxRequirements


_SGX_DEBUG: Final = 0x02
_SGX_MUST: Final = 0x05
"""INIT and MODE64BIT."""
_SGX_MAY: Final = 0x04C0
"""CET, KSS and AEXNOTIFY; not DEBUG, PROVISION_KEY, EINITTOKEN_KEY nor anything reserved."""
_XFRM_MUST: Final = 0x03
_XFRM_MAY: Final = 0x061AFC
"""AVX, MPX, AVX-512, PKRU, CET and AMX."""
_MISC_MAY: Final = 0x03
"""EXINFO and CPINFO."""
_NO_CONFIG: Final = "00" * 64
_UNTRUSTED: Final = 0xFF
"""DEBUG and its neighbours: any of them takes the trust domain out of the trust boundary."""
_TDX_MUST: Final = 1 << 28
"""SEPT_VE_DISABLE: the host cannot take a page away and have the guest accept another."""
_TDX_MAY: Final = 1 << 27 | 1 << 30 | 1 << 31
"""LASS, PKS and KL; not MIGRATABLE, PERFMON nor anything reserved."""
_XFAM_MUST: Final = 0x03
_XFAM_MAY: Final = 0x06DBE4
_ZERO: Final = "00" * 48


def check_sgx(report: SgxReport) -> Iterator[Mismatch]:
    """Judge attributes, extended features, MISCSELECT and CONFIGID."""
    hint = "a debug enclave" if report.attributes & _SGX_DEBUG else "not a production enclave"
    yield from bits("attributes", _SGX_MUST, _SGX_MAY, report.attributes, hint)
    yield from bits(
        "xfrm", _XFRM_MUST, _XFRM_MAY, report.xfrm, "processor features that are not known"
    )
    yield from bits(
        "misc_select", 0, _MISC_MAY, report.misc_select, "an enclave state that is not known"
    )
    yield from equal(
        "config_id",
        "",
        f"{_NO_CONFIG} svn 0",
        f"{report.config_id} svn {report.config_svn}",
        "the host gave the enclave a configuration that nobody measured",
    )


def check_tdx(report: TdxReport, required: TdxRequirements | None) -> Iterator[Mismatch]:
    """Judge attributes, extended features, TDX module and service TD, then every register."""
    hint = "a debug trust domain" if report.attributes & _UNTRUSTED else "not a production setting"
    yield from bits("attributes", _TDX_MUST, _TDX_MAY, report.attributes, hint)
    yield from bits(
        "xfam", _XFAM_MUST, _XFAM_MAY, report.xfam, "processor features that are not known"
    )
    yield from equal("seam_signer", "", _ZERO, report.seam_signer, "not Intel's TDX module")
    yield from bits("seam_attributes", 0, 0, report.seam_attributes, "a TDX module for debugging")
    yield from equal(
        "service_td", "", _ZERO, report.service_td, "a service TD could move or change this one"
    )
    if required is None:
        yield Mismatch(
            code="tee", field="tdx", expected="no trust domain", got="a trust domain",
            hint="the policy has no table tdx",
        )  # fmt: skip
        return
    for name in TDX_REGISTERS:
        if name not in required.insecure_unchecked_registers:
            yield from among(
                name,
                f"tdx.{name}",
                required.registers.get(name) or {_ZERO},
                report.registers[name],
                "other firmware, kernel or settings than the policy names",
            )


def check_intel(platform: IntelPlatform, required: Requirements, now_ms: int) -> Iterator[Mismatch]:
    """Judge TCB status of platform and quoting enclave, advisories, flags, evaluation number."""
    accepted, hint = accepted_statuses(required, now_ms)
    for code, status in (("tcb_status", platform.tcb_status), ("qe_status", platform.qe_status)):
        yield from among(code, "tcb_statuses", accepted, status, hint)
    unknown = [each for each in platform.advisories if each not in required.advisories]
    if unknown:
        yield Mismatch(
            code="advisories",
            field="advisories",
            expected="only " + (", ".join(sorted(required.advisories)) or "none"),
            got=", ".join(unknown),
            hint="read the advisories, then update the platform or allow them by name",
        )
    flags = platform.flags - required.platform_flags
    if flags:
        yield Mismatch(
            code="platform_flags",
            field="platform_flags",
            expected="only " + (", ".join(sorted(required.platform_flags)) or "none"),
            got=", ".join(sorted(flags)),
            hint="change the machine's settings, or allow the flags by name",
        )
    yield from at_least(
        "tcb_evaluation",
        "min_tcb_evaluation",
        required.min_tcb_evaluation,
        platform.tcb_evaluation,
        "the operator must fetch collateral anew",
    )
