"""Mismatches: what each says, and which key of the policy asked for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sealflow.attest.checks import among, at_least, bits, equal
from sealflow.attest.evidence import Role
from sealflow.attest.policy import appraise
from sealflow.attest.vm_requirements import SnpRequirements
from sealflow.errors import PolicyError
from tests.support.attestation.dcap_authority import DcapAuthority
from tests.support.attestation.dcap_certificates import NOW_S
from tests.support.attestation.policies import (
    NOW_MS,
    SGX,
    SNP,
    TDX,
    change_requirements,
    policy,
    sgx_evidence,
    snp_evidence,
    tdx_evidence,
)
from tests.support.attestation.quote_bodies import ZERO48
from tests.support.attestation.snp_authority import TCB, snp_authority


def fields(evidence: Any, wanted: Any, nonce: str = "00" * 32) -> dict[str, str]:
    """Appraise what fails; gives each mismatch's field, which is a key of policies, by its code."""
    with pytest.raises(PolicyError) as caught:
        appraise(evidence, wanted, NOW_MS, nonce=nonce)
    return {each.code: each.field for each in caught.value.mismatches}


def test_all_mismatches() -> None:
    """A verdict lists all that is wrong, each with the policy's key that asked for it, if any."""
    lab = DcapAuthority(
        tcb_status="OutOfDate",
        qe_status="OutOfDate",
        advisories=("INTEL-SA-00001",),
        flags=("smt_enabled",),
    )
    wanted = change_requirements(
        SGX,
        measurements=frozenset({"12" * 32}),
        signers=frozenset({"23" * 32}),
        product_id=2,
        min_svn=2,
        min_tcb_evaluation=21,
        max_collateral_age_s=1,
    )
    other = policy(
        wanted, lab.root_der, role=Role.KEY_BROKER, deployment="x", manifest_digest="a" * 64
    )
    evidence = sgx_evidence(lab, attributes=0x15, xfrm=1, misc_select=4, config_svn=1)
    assert list(fields(evidence, other, nonce="ab" * 32).items()) == [
        ("role", ""),
        ("deployment", "deployment"),
        ("manifest_digest", "manifest_digest"),
        ("nonce", ""),
        ("measurement", "measurements"),
        ("signer", "signers"),
        ("product_id", "product_id"),
        ("svn", "min_svn"),
        ("attributes", ""),
        ("xfrm", ""),
        ("misc_select", ""),
        ("config_id", ""),
        ("tcb_status", "tcb_statuses"),
        ("qe_status", "tcb_statuses"),
        ("advisories", "advisories"),
        ("platform_flags", "platform_flags"),
        ("tcb_evaluation", "min_tcb_evaluation"),
        ("collateral_age", "max_collateral_age_s"),
    ]


def test_fields_of_virtual_machines() -> None:
    """So do mismatches of trust domains and of SNP guests."""
    lab, amd = DcapAuthority(tee="TDX"), snp_authority(NOW_S)
    evidence = tdx_evidence(lab, config=(b"\1" * 48, ZERO48, ZERO48))
    assert fields(evidence, policy(TDX, lab.root_der)) == {"mr_config_id": "tdx.mr_config_id"}
    assert fields(tdx_evidence(lab), policy(change_requirements(TDX, tdx=None), lab.root_der)) == {
        "tee": "tdx"
    }
    asked = replace(
        SNP, platform_flags=frozenset(), snp=SnpRequirements(min_tcb={"Milan": {**TCB, "snp": 255}})
    )
    found = fields(snp_evidence(amd, vmpl=1, host_data=b"\1" * 32), policy(asked, amd.root()))
    assert {code: field for code, field in found.items() if code != "tcb"} == {
        "vmpl": "snp.vmpl",
        "host_data": "snp.host_data",
        "platform_flags": "platform_flags",
        **{code: "snp.min_tcb.Milan.snp" for code, field in found.items() if "min_tcb" in field},
    }
    assert (
        fields(snp_evidence(amd), policy(change_requirements(SNP, snp=None), amd.root()))["tee"]
        == "snp"
    )


def test_mismatches() -> None:
    """What was expected and what came are in every mismatch, in words."""
    hint = "do something"
    [one] = equal("role", "f", "a", "", hint)
    assert one.to_json() == {
        "code": "role",
        "field": "f",
        "expected": "a",
        "got": "none",
        "hint": hint,
    }
    [two] = among("signer", "signers", {"b", "a"}, "", hint)
    assert (two.expected, two.got) == ("a or b", "none")
    [three] = among("signer", "signers", set(), "c", hint)
    assert (three.expected, three.got) == ("nothing", "c")
    [four] = at_least("svn", "min_svn", 3, 2, hint)
    assert (four.field, four.expected, four.got) == ("min_svn", "at least 3", "2")
    [five] = bits("xfrm", 0x3, 0x10, 0x21, hint)
    assert (five.field, five.expected, five.got) == ("", "0x3, and any bits of 0x10", "0x21")
    [six] = bits("xfrm", 0x3, 0, 0x1, hint)
    assert six.expected == "0x3"
    assert str(six) == "xfrm: expected 0x3, got 0x1; do something"
