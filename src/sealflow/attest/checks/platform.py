"""Core, pure: the maker's verdict on a platform and the age of its collateral, against a policy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from sealflow.attest.mismatch import among, at_least
from sealflow.attest.reports import TcbStatus
from sealflow.errors import Mismatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealflow.attest.reports import AmdPlatform, IntelPlatform, Platform
    from sealflow.attest.requirements import Requirements
    from sealflow.attest.vm_requirements import SnpRequirements

MAX_EXCEPTION: Final = timedelta(days=30)


def check_intel(platform: IntelPlatform, wanted: Requirements, now_ms: int) -> Iterator[Mismatch]:
    """Judge TCB status of platform and quoting enclave, advisories, flags, evaluation number."""
    accepted, hint = accepted_statuses(wanted, now_ms)
    for code, status in (("tcb_status", platform.tcb_status), ("qe_status", platform.qe_status)):
        yield from among(code, "tcb_statuses", accepted, status, hint)
    unknown = [each for each in platform.advisories if each not in wanted.advisories]
    if unknown:
        yield Mismatch(
            code="advisories",
            field="advisories",
            expected="only " + (", ".join(sorted(wanted.advisories)) or "none"),
            got=", ".join(unknown),
            hint="read the advisories, then update the platform or allow them by name",
        )
    flags = platform.flags - wanted.platform_flags
    if flags:
        yield Mismatch(
            code="platform_flags",
            field="platform_flags",
            expected="only " + (", ".join(sorted(wanted.platform_flags)) or "none"),
            got=", ".join(sorted(flags)),
            hint="change the machine's settings, or allow the flags by name",
        )
    yield from at_least(
        "tcb_evaluation",
        "min_tcb_evaluation",
        wanted.min_tcb_evaluation,
        platform.tcb_evaluation,
        "the operator must fetch collateral anew",
    )


def check_amd(platform: AmdPlatform, wanted: SnpRequirements | None) -> Iterator[Mismatch]:
    """Judge whether anybody asked AMD for revoked keys."""
    if platform.revocations_checked or (wanted is not None and wanted.insecure_no_revocations):
        return
    yield Mismatch(
        code="revocations",
        field="snp.insecure_no_revocations",
        expected="AMD's revocation list",
        got="none",
        hint="the operator must fetch it",
    )


def check_age(platform: Platform, wanted: Requirements, now_ms: int) -> Iterator[Mismatch]:
    """Judge how old the collateral is."""
    age_s = now_ms // 1000 - platform.collateral_issued_s
    if age_s > wanted.max_collateral_age_s:
        yield Mismatch(
            code="collateral_age",
            field="max_collateral_age_s",
            expected=f"at most {wanted.max_collateral_age_s} s",
            got=f"{age_s} s",
            hint="the operator must fetch collateral anew",
        )


def accepted_statuses(wanted: Requirements, now_ms: int) -> tuple[frozenset[TcbStatus], str]:
    """Return the TCB statuses that a policy accepts now, and a hint for all others."""
    exception = wanted.insecure_out_of_date
    if exception is None:
        return wanted.tcb_statuses, "the operator must update microcode or BIOS"
    today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
    if today > exception.until:
        return wanted.tcb_statuses, f"the exception of the policy ended on {exception.until}"
    if exception.until - today > MAX_EXCEPTION:
        days = MAX_EXCEPTION.days
        return wanted.tcb_statuses, f"an exception counts only in its last {days} days"
    out_of_date = frozenset(status for status in TcbStatus if status.out_of_date)
    return wanted.tcb_statuses | out_of_date, "the operator must update microcode or BIOS"
