"""Core, pure: the checks of SEV-SNP guests and AMD's platforms against a policy.

Spec: attestation.md, 4.6. Source: AMD SEV-SNP ABI specification 1.58, tables 10 (guest policy), 23
(report) and 24 (PLATFORM_INFO).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealflow.attest.checks import among, at_least, bits, equal
from sealflow.attest.reports import PlatformFlag
from sealflow.errors import Mismatch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sealflow.attest.reports import AmdPlatform, SnpReport
    from sealflow.attest.vm_requirements import SnpRequirements


_DEBUG: Final = 1 << 19
_MIGRATE: Final = 1 << 18
_SMT: Final = 1 << 16
_MUST: Final = 1 << 17
_MAY: Final = 0xFFFF | _SMT | 1 << 20 | 0xF << 22
"""ABI version, SMT, SINGLE_SOCKET, MEM_AES_256_XTS, RAPL_DIS, CIPHERTEXT_HIDING and
PAGE_SWAP_DISABLE; not MIGRATE_MA, DEBUG, CXL_ALLOW nor a reserved bit."""
_ALIASES_CHECKED: Final = 1 << 5
_NO_HOST_DATA: Final = "00" * 32
_NO_AUTHOR: Final = "00" * 48
_MICROCODE: Final = {
    (0x19, 0x01, 1): 0xDB,
    (0x19, 0x01, 2): 0x44,
    (0x19, 0x11, 1): 0x54,
    (0x19, 0x11, 2): 0x4F,
    (0x19, 0xA0, 2): 0x19,
}
"""By CPUID family, model and stepping, the first microcode that takes no forged updates.

Source: AMD-SB-3019 and AMD-SB-7033 (3 February and 5 March 2025); fwupd has the same table. Only
these processors are in it: the microcode of others is judged by the policy alone."""


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
    if not report.platform_info & _ALIASES_CHECKED and PlatformFlag.ALIASES_UNCHECKED not in flags:
        yield Mismatch(
            code="platform_flags",
            field="platform_flags",
            expected="ALIAS_CHECK_COMPLETE",
            got=PlatformFlag.ALIASES_UNCHECKED,
            hint="the operator must update the firmware, which then checks memory modules",
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
    yield from among(
        "author_key",
        "snp.author_keys",
        required.author_keys or {_NO_AUTHOR},
        report.author_key,
        "the host named an author of the id key that the policy does not accept",
    )
    yield from _check_firmware(report, required)


def _check_firmware(report: SnpReport, required: SnpRequirements) -> Iterator[Mismatch]:
    least = dict(required.min_tcb.get(report.product, {}))
    if not required.insecure_any_tcb:
        yield from among(
            "product",
            "snp.min_tcb",
            required.min_tcb,
            report.product,
            "the policy names no lowest firmware of this processor's product line",
        )
        floor = _MICROCODE.get(report.cpu, 0) if report.cpu else 0
        least["microcode"] = max(floor, least.get("microcode", 0))
    for name, version in least.items():
        for kind in ("reported", "committed", "launch"):
            yield from at_least(
                f"{kind}_tcb",
                f"snp.min_tcb.{report.product}.{name}",
                version,
                getattr(report, f"{kind}_tcb").get(name, 0),
                f"the operator must update and commit the firmware's {name}, then start the guest",
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
