"""Core, pure: a TDX trust domain's state and what was measured into it, against a policy.

Source: Intel TDX Module ABI specification, TD_PARAMS, ATTRIBUTES and XFAM; TDREPORT_STRUCT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealflow.attest.mismatch import among, bits, equal
from sealflow.attest.reports import TDX_REGISTERS
from sealflow.errors import Mismatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealflow.attest.reports import TdxReport
    from sealflow.attest.vm_requirements import TdxRequirements

_UNTRUSTED: Final = 0xFF
"""DEBUG and its neighbours: any of them takes the trust domain out of the trust boundary."""
_MUST: Final = 1 << 28
"""SEPT_VE_DISABLE: the host cannot take a page away and have the guest accept another."""
_MAY: Final = 1 << 27 | 1 << 30 | 1 << 31
"""LASS, PKS and KL; not MIGRATABLE, PERFMON nor anything reserved."""
_XFAM_MUST: Final = 0x03
_XFAM_MAY: Final = 0x06DBE4
_ZERO: Final = "00" * 48


def check_tdx(report: TdxReport, wanted: TdxRequirements | None) -> Iterator[Mismatch]:
    """Judge attributes, extended features, TDX module and service TD, then every register."""
    hint = "a debug trust domain" if report.attributes & _UNTRUSTED else "not a production setting"
    yield from bits("attributes", _MUST, _MAY, report.attributes, hint)
    yield from bits(
        "xfam", _XFAM_MUST, _XFAM_MAY, report.xfam, "processor features that are not known"
    )
    yield from equal("seam_signer", "", _ZERO, report.seam_signer, "not Intel's TDX module")
    yield from bits("seam_attributes", 0, 0, report.seam_attributes, "a TDX module for debugging")
    yield from equal(
        "service_td", "", _ZERO, report.service_td, "a service TD could move or change this one"
    )
    if wanted is None:
        yield Mismatch(
            code="tee", field="tdx", expected="no trust domain", got="a trust domain",
            hint="the policy has no table tdx",
        )  # fmt: skip
        return
    for name in TDX_REGISTERS:
        if name not in wanted.insecure_unchecked_registers:
            yield from among(
                name,
                f"tdx.{name}",
                wanted.registers.get(name) or {_ZERO},
                report.registers[name],
                "other firmware, kernel or settings than the policy names",
            )
