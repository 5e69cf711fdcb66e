"""What a policy demands of SNP guests."""

from __future__ import annotations

from typing import Any

import pytest

from sealflow.attest.amd.checks import check_snp
from sealflow.attest.policy import appraise
from sealflow.attest.reports import PlatformFlag, SnpReport
from sealflow.attest.vm_requirements import SnpRequirements
from sealflow.errors import PolicyError
from tests.support.attestation.dcap_certificates import NOW_S
from tests.support.attestation.policies import (
    NOW_MS,
    SNP,
    TDX,
    change_requirements,
    policy,
    snp_codes,
    snp_evidence,
    tdx_codes,
)
from tests.support.attestation.snp_authority import GUEST_POLICY, TCB, snp_authority


def test_no_table() -> None:
    """Virtual machines pass no policy that says nothing of their registers and firmware."""
    plain = change_requirements(TDX, tdx=None)
    assert tdx_codes(plain) == ["tee"]
    assert snp_codes(change_requirements(SNP, snp=None)) == ["tee"]
    assert snp_codes(change_requirements(SNP, snp=None), b"") == ["tee", "revocations"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"guest_policy": GUEST_POLICY | 1 << 19}, "guest_policy"),
        ({"guest_policy": GUEST_POLICY | 1 << 18}, "guest_policy"),
        ({"guest_policy": GUEST_POLICY | 1 << 21}, "guest_policy"),
        ({"guest_policy": GUEST_POLICY | 1 << 26}, "guest_policy"),
        ({"guest_policy": 0x1_0000}, "guest_policy"),
        ({"vmpl": 1}, "vmpl"),
        ({"host_data": b"\1" * 32}, "host_data"),
        ({"committed": bytes([3, 1, 0, 0, 0, 0, 7, 200])}, "committed_tcb"),
        ({"launch": bytes([3, 1, 0, 0, 0, 0, 8, 199])}, "launch_tcb"),
        ({"platform_info": 0x01}, "platform_flags"),
        ({"author_key": b"\1" * 48}, "author_key"),
        ({"measurement": b"\x12" * 48}, "measurement"),
    ],
)
def test_snp_state(body: dict[str, Any], code: str) -> None:
    """A guest that allows debugging, migration or the unknown, or old firmware, is refused."""
    assert snp_codes(SNP, **body) == [code]


def test_snp_demands() -> None:
    """Firmware, id key, guest version, SMT and revocations are judged by the policy's demands."""
    high = SnpRequirements(min_tcb={"Milan": {**TCB, "snp": 9, "tee": 2}})
    assert snp_codes(change_requirements(SNP, snp=high)) == [
        *("reported_tcb", "committed_tcb", "launch_tcb"),
        *("reported_tcb", "committed_tcb", "launch_tcb"),
    ]
    assert snp_codes(change_requirements(SNP, signers=frozenset({"07" * 48}))) == ["signer"]
    assert snp_codes(change_requirements(SNP, min_svn=6)) == ["svn"]
    assert snp_codes(change_requirements(SNP, platform_flags=frozenset())) == ["platform_flags"]
    assert snp_codes(change_requirements(SNP, product_id=1)) == ["product_id"]
    assert snp_codes(SNP, b"") == ["revocations"]
    amd = snp_authority(NOW_S)
    without = policy(
        change_requirements(
            SNP, snp=SnpRequirements(min_tcb={"Milan": TCB}, insecure_no_revocations=True)
        ),
        amd.root(),
    )
    appraise(snp_evidence(amd, b""), without, NOW_MS)
    no_smt = policy(change_requirements(SNP, platform_flags=frozenset()), amd.root())
    appraise(snp_evidence(amd, guest_policy=1 << 17), no_smt, NOW_MS)


def test_host_data() -> None:
    """Host data that a policy names is accepted."""
    amd = snp_authority(NOW_S)
    named = SnpRequirements(min_tcb={"Milan": TCB}, host_data=frozenset({"01" * 32}), vmpl=2)
    wanted = policy(change_requirements(SNP, snp=named), amd.root())
    claims = appraise(snp_evidence(amd, host_data=b"\1" * 32, vmpl=2), wanted, NOW_MS).claims
    assert isinstance(claims.report, SnpReport)
    assert list(check_snp(claims.report, named, {PlatformFlag.SMT_ENABLED})) == []


def test_hints_name_the_danger() -> None:
    """The hint says what a debug or migratable guest means."""
    amd = snp_authority(NOW_S)
    for bit, word in ((19, "debugging"), (18, "migration")):
        evidence = snp_evidence(amd, guest_policy=GUEST_POLICY | 1 << bit)
        with pytest.raises(PolicyError, match=word):
            appraise(evidence, policy(SNP, amd.root()), NOW_MS)
