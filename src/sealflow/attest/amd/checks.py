"""Core, pure: the checks of SEV-SNP guests and AMD's platforms against a policy.

Spec: attestation.md, 4.6. Source: AMD SEV-SNP ABI specification 1.58, tables 10 (guest policy) and
23 (report).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealflow.attest.checks import among, at_least, bits, equal
from sealflow.attest.reports import PlatformFlag
from sealflow.errors import Mismatch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sealflow.attest.reports import AmdPlatform, SnpReport
    from sealflow.attest.requirements import SnpRequirements


_DEBUG: Final = 1 << 19
_MIGRATE: Final = 1 << 18
_SMT: Final = 1 << 16
_MUST: Final = 1 << 17
_MAY: Final = 0xFFFF | _SMT | 1 << 20 | 0xF << 22
"""ABI version, SMT, SINGLE_SOCKET, MEM_AES_256_XTS, RAPL_DIS, CIPHERTEXT_HIDING and
PAGE_SWAP_DISABLE; not MIGRATE_MA, DEBUG, CXL_ALLOW nor a reserved bit."""
_NO_HOST_DATA: Final = "00" * 32


def check_snp(
    report: SnpReport, required: SnpRequirements | None, flags: Collection[PlatformFlag]
) -> Iterator[Mismatch]:
    """Check guest policy, VMPL, host data and firmware versions of a guest.

    `flags`: the platform flags that the policy accepts.
    """
    hint = "not a production guest"
    if report.guest_policy & _DEBUG:
        hint = "the guest allows debugging, so its host can read its memory"
    elif report.guest_policy & _MIGRATE:
        hint = "a migration agent could move the guest to another machine"
    yield from bits("guest_policy", _MUST, _MAY, report.guest_policy, hint)
    if report.guest_policy & _SMT and PlatformFlag.SMT_ENABLED not in flags:
        yield Mismatch(
            code="platform_flags",
            field="platform_flags",
            expected="none",
            got=PlatformFlag.SMT_ENABLED,
            hint="accept the flag by name, or disable SMT in the guest policy",
        )
    if required is None:
        yield Mismatch(
            code="tee", field="snp", expected="no SNP guest", got="an SNP guest",
            hint="the policy has no table snp",
        )  # fmt: skip
        return
    yield from equal(
        "vmpl",
        "snp.vmpl",
        str(required.vmpl),
        str(report.vmpl),
        "code at another VM privilege level of the guest requested the report",
    )
    yield from among(
        "host_data",
        "snp.host_data",
        required.host_data or {_NO_HOST_DATA},
        report.host_data,
        "the host set host data that the policy does not accept",
    )
    yield from _check_firmware(report, required)


def _check_firmware(report: SnpReport, required: SnpRequirements) -> Iterator[Mismatch]:
    for name, least in required.min_tcb.items():
        for kind, tcb in (("reported", report.reported_tcb), ("committed", report.committed_tcb)):
            yield from at_least(
                f"{kind}_tcb",
                f"snp.min_tcb.{name}",
                least,
                tcb.get(name, 0),
                f"the operator must update and commit the firmware's {name}",
            )


def check_amd(platform: AmdPlatform, required: SnpRequirements | None) -> Iterator[Mismatch]:
    """Check that the endorsements have a revocation list, unless the policy does not need one."""
    if platform.revocations_checked or (required is not None and required.insecure_no_revocations):
        return
    yield Mismatch(
        code="revocations",
        field="snp.insecure_no_revocations",
        expected="AMD's revocation list",
        got="none",
        hint="the operator must fetch AMD's revocation list",
    )
