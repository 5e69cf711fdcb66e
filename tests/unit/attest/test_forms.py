"""The forms of demands, verdicts and claims: every field has its name, its place and its bound."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from sealflow.attest.deployment import Deployment
from sealflow.attest.evidence import Role, Tee, decode_base64
from sealflow.attest.mismatch import among, at_least, bits, equal
from sealflow.attest.policy import Policy, appraise, policy_digest
from sealflow.attest.reports import PlatformFlag, TcbStatus
from sealflow.attest.requirements import OutOfDateException, Requirements
from sealflow.attest.vm_requirements import SnpRequirements, TdxRequirements
from sealflow.attest.wanted import wanted_collateral
from sealflow.errors import MalformedError, PolicyError
from sealflow.wire.strict_json import canonical
from tests.sim.claims import MANIFEST, NONCE
from tests.sim.dcap_lab import DAY_S, NOW_S, ZERO48, Lab, sgx_body, tdx_body
from tests.sim.snp_authority import snp_authority
from tests.unit.attest.test_policy import (
    NOW_MS,
    SGX,
    SNP,
    TDX,
    but,
    policy,
    sgx_evidence,
    snp_evidence,
    tdx_evidence,
)

FULL = Requirements(
    measurements=frozenset({"11" * 32, "12" * 32}),
    signers=frozenset({"22" * 32}),
    product_id=7,
    min_svn=3,
    tcb_statuses=frozenset({TcbStatus.UP_TO_DATE, TcbStatus.SW_HARDENING_NEEDED}),
    advisories=frozenset({"INTEL-SA-00615"}),
    max_collateral_age_s=20 * DAY_S,
    min_tcb_evaluation=17,
    platform_flags=frozenset({PlatformFlag.SMT_ENABLED}),
    tdx=TdxRequirements(
        registers={
            **{f"rtmr{number}": frozenset({f"4{number}" * 48}) for number in range(3)},
            "mr_owner": frozenset({"66" * 48}),
        },
        insecure_unchecked_registers=frozenset({"rtmr3"}),
    ),
    snp=SnpRequirements(
        min_tcb={"bootloader": 4, "microcode": 200},
        host_data=frozenset({"77" * 32}),
        vmpl=2,
        insecure_no_revocations=True,
    ),
    insecure_out_of_date=OutOfDateException(until=date(2026, 12, 31), reason="late microcode"),
)
TABLE: dict[str, Any] = {
    "measurements": ["11" * 32, "12" * 32],
    "signers": ["22" * 32],
    "product_id": 7,
    "min_svn": 3,
    "tcb_statuses": ["SWHardeningNeeded", "UpToDate"],
    "advisories": ["INTEL-SA-00615"],
    "max_collateral_age_s": 1_728_000,
    "min_tcb_evaluation": 17,
    "platform_flags": ["smt_enabled"],
    "tdx": {
        "rtmr0": ["40" * 48],
        "rtmr1": ["41" * 48],
        "rtmr2": ["42" * 48],
        "rtmr3": [],
        "mr_config_id": [],
        "mr_owner": ["66" * 48],
        "mr_owner_config": [],
        "insecure_unchecked_registers": ["rtmr3"],
    },
    "snp": {
        "min_tcb": {"fmc": 0, "bootloader": 4, "tee": 0, "snp": 0, "microcode": 200},
        "host_data": ["77" * 32],
        "vmpl": 2,
        "insecure_no_revocations": True,
    },
    "insecure_signer_only": False,
    "insecure_out_of_date": {"until": "2026-12-31", "reason": "late microcode"},
}


def test_demands() -> None:
    """All demands have this form, and each comes back out of it."""
    assert FULL.as_json() == TABLE
    assert Requirements.from_json(TABLE, "w").as_json() == TABLE
    for name in set(TABLE) - {"measurements", "insecure_signer_only"}:
        short = Requirements.from_json({k: v for k, v in TABLE.items() if k != name}, "w")
        assert short.as_json().get(name) != TABLE[name], name
    only = {"measurements": ["11" * 32]}
    assert Requirements.from_json(only, "w") == Requirements(measurements=frozenset({"11" * 32}))
    signer_only = {
        "signers": ["22" * 32],
        "product_id": 1,
        "min_svn": 1,
        "insecure_signer_only": True,
    }
    assert Requirements.from_json(signer_only, "w").insecure_signer_only


@pytest.mark.parametrize(
    ("place", "good", "bad"),
    [
        (("product_id",), (0, 0xFFFF), (-1, 0x10000, True, "1", 1.0)),
        (("min_svn",), (0, 0xFFFF), (-1, 0x10000, True)),
        (("max_collateral_age_s",), (0, 3660 * DAY_S), (-1, 3660 * DAY_S + 1)),
        (("min_tcb_evaluation",), (0, 2**31), (-1, 2**31 + 1)),
        (("advisories",), ([],), (["INTEL-SA-0061"], ["x"], [1], "INTEL-SA-00615")),
        (("advisories",), (["INTEL-SA-00001"] * 256,), (["INTEL-SA-00001"] * 257,)),
        (("measurements",), (["ab" * 48],), (["AB" * 32], ["ab" * 31], {}, [None])),
        (("tcb_statuses",), (["UpToDate"],), (["OutOfDate"], ["uptodate"], "UpToDate")),
        (("platform_flags",), (["cached_keys"],), (["debug"], [[]])),
        (("insecure_signer_only",), (False,), (0, "no", None)),
        (("snp", "vmpl"), (0, 3), (-1, 4)),
        (("snp", "min_tcb", "tee"), (0, 255), (-1, 256)),
        (("snp", "insecure_no_revocations"), (False,), (1, "yes")),
        (("tdx", "insecure_unchecked_registers"), ([],), (["rtmr4"], "rtmr3")),
        (("insecure_out_of_date", "until"), ("2026-01-01",), ("2026-13-01", 20260101, None)),
        (("insecure_out_of_date", "reason"), ("x", "x" * 200), ("", "x" * 201, None)),
    ],
)
def test_bounds(place: tuple[str, ...], good: tuple[Any, ...], bad: tuple[Any, ...]) -> None:
    """Each demand has a type and a range, to the last value."""

    def table(value: Any) -> dict[str, Any]:
        whole: dict[str, Any] = json.loads(json.dumps(TABLE))
        inner = whole
        for name in place[:-1]:
            inner = inner[name]
        inner[place[-1]] = value
        return whole

    for value in good:
        Requirements.from_json(table(value), "w")
    for value in bad:
        with pytest.raises(MalformedError, match="w"):
            Requirements.from_json(table(value), "w")
    with pytest.raises(MalformedError):
        Requirements.from_json({**TABLE, "other": 1}, "w")


@pytest.mark.parametrize(
    "lacking",
    [
        {"signers": frozenset()},
        {"product_id": None},
        {"min_svn": 0},
        {"measurements": frozenset({"11" * 32})},
    ],
)
def test_signer_only_needs_all(lacking: dict[str, Any]) -> None:
    """Doing without measurements needs every other word on whose code it is."""
    whole: dict[str, Any] = {
        "measurements": frozenset(),
        "signers": frozenset({"22" * 32}),
        "product_id": 0,
        "min_svn": 1,
        "insecure_signer_only": True,
    }
    Requirements(**whole)
    with pytest.raises(MalformedError, match="insecure_signer_only"):
        Requirements(**{**whole, **lacking})


@pytest.mark.parametrize("name", ["rtmr0", "rtmr1", "rtmr2"])
def test_registers_are_named_or_let_go(name: str) -> None:
    """Firmware, kernel and command line are checked, unless somebody says that they are not."""
    registers = {f"rtmr{number}": frozenset({"40" * 48}) for number in range(3)} | {
        name: frozenset()
    }
    with pytest.raises(MalformedError, match=name):
        TdxRequirements(registers=registers)
    TdxRequirements(registers=registers, insecure_unchecked_registers=frozenset({name}))


def hardware(tee: Tee, requirements: Requirements, **times: Any) -> Deployment:
    """A deployment with two owners and an operator, whose two enclaves differ."""
    worker = replace(requirements, min_svn=requirements.min_svn + 1)
    return Deployment(
        name="d",
        tee=tee,
        owners=frozenset({"aa" * 32, "ab" * 32}),
        operators=frozenset({"ac" * 32}),
        keybroker=requirements,
        worker=worker,
        **times,
    )


def test_deployments() -> None:
    """A deployment comes back from its one form, and asks of each role what is that role's."""
    made = hardware(Tee.TDX, TDX, epoch_s=4000, grace_s=1000)
    found = Deployment.parse(made.encode())
    assert found.encode() == made.encode()
    assert (found.operators, found.owners) == (made.operators, made.owners)
    assert made.digest == hashlib.sha256(made.encode()).hexdigest()
    for role, requirements in ((Role.WORKER, made.worker), (Role.KEY_BROKER, made.keybroker)):
        asked = made.policy(role)
        assert isinstance(asked, Policy)
        assert (asked.role, asked.tee, asked.deployment) == (role, Tee.TDX, "d")
        assert asked.manifest_digest == made.digest
        assert asked.requirements is requirements


@pytest.mark.parametrize(
    "times",
    [
        {"epoch_s": 5, "grace_s": 2, "residence_s": 1, "clock_skew_s": 1, "lease_s": 4,
         "directory_s": 4},
        {"epoch_s": 604_800, "grace_s": 172_800, "residence_s": 86_400, "lease_s": 86_400,
         "directory_s": 86_400},
        {"epoch_s": 300, "directory_s": 300, "lease_s": 600},
    ],
)  # fmt: skip
def test_times_at_their_bounds(times: dict[str, int]) -> None:
    """Every time may be as short and as long as the specification says, and no more."""
    hardware(Tee.SGX, SGX, **times)
    for name, value in times.items():
        for changed in (value - 1, value + 1):
            whole = times | {name: changed}
            if not allowed(whole):
                with pytest.raises(MalformedError, match=name.removesuffix("_s")):
                    hardware(Tee.SGX, SGX, **whole)


def allowed(times: dict[str, int]) -> bool:
    """What docs/spec/keybroker.md says of times, section 1."""
    ranges = {
        "epoch_s": (3600, 5, 604_800),
        "grace_s": (900, 2, 172_800),
        "residence_s": (600, 1, 86_400),
        "clock_skew_s": (300, 0, 3600),
        "lease_s": (3600, 4, 86_400),
        "directory_s": (900, 4, 86_400),
    }
    whole = {name: times.get(name, default) for name, (default, _, _) in ranges.items()}
    return (
        all(least <= whole[name] <= most for name, (_, least, most) in ranges.items())
        and whole["grace_s"] >= whole["residence_s"] + whole["clock_skew_s"]
        and whole["clock_skew_s"] <= whole["epoch_s"]
        and whole["directory_s"] <= whole["epoch_s"]
        and whole["lease_s"] <= 2 * whole["epoch_s"]
    )


def test_policy_digests() -> None:
    """A policy is named by all that it says."""
    lab = Lab()
    models = {"m": frozenset({"b" * 64, "a" * 64})}
    whole: dict[str, object] = {
        "role": "worker",
        "tee": "simulated",
        "deployment": "test",
        "manifest_digest": MANIFEST,
        "requirements": SGX.as_json(),
        "models": {"m": ["a" * 64, "b" * 64]},
        "root": hashlib.sha256(lab.root_der).hexdigest(),
    }
    wanted = policy(SGX, lab.root_der, models=models)
    assert policy_digest(wanted) == hashlib.sha256(canonical(whole)).hexdigest()
    evidence = sgx_evidence(lab)
    assert appraise(evidence, wanted, NOW_MS, nonce=NONCE).policy_digest == policy_digest(wanted)


def test_claims() -> None:
    """What was proved has this form for machines."""
    lab = Lab(
        tcb_status="SWHardeningNeeded",
        advisories=("INTEL-SA-00615",),
        tcb_age_s=2 * DAY_S,
        life_s=10 * DAY_S,
    )
    wanted = but(SGX, tcb_statuses=FULL.tcb_statuses, advisories=FULL.advisories)
    evidence = sgx_evidence(lab, svn=5)
    found = appraise(evidence, policy(wanted, lab.root_der), NOW_MS).claims.as_json()
    signed = evidence.quote[: 48 + 384]
    assert found == {
        "tee": "simulated",
        "form": "sgx",
        "measurement": "11" * 32,
        "signer": "22" * 32,
        "svn": 5,
        "tcb_status": "SWHardeningNeeded",
        "advisories": ["INTEL-SA-00615"],
        "collateral_issued_ms": 1000 * (NOW_S - 2 * DAY_S),
        "collateral_expires_ms": 1000 * (NOW_S + 8 * DAY_S),
        "registers": {},
        "report_digest": hashlib.sha256(signed).hexdigest(),
    }


def fields(evidence: Any, wanted: Any, nonce: str | None = None) -> dict[str, str]:
    """Appraise what fails; gives each mismatch's field, which is a key of policies, by its code."""
    with pytest.raises(PolicyError) as caught:
        appraise(evidence, wanted, NOW_MS, nonce=nonce)
    return {each.code: each.field for each in caught.value.mismatches}


def test_fields_of_sgx() -> None:
    """Each mismatch names the key of the policy that asked for it, or none where none could."""
    lab = Lab(
        tcb_status="OutOfDate",
        qe_status="OutOfDate",
        advisories=("INTEL-SA-00001",),
        flags=("smt_enabled",),
    )
    wanted = but(
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
    assert fields(evidence, other, nonce="00" * 32) == {
        "role": "",
        "deployment": "deployment",
        "manifest_digest": "manifest_digest",
        "nonce": "",
        "measurement": "measurements",
        "signer": "signers",
        "product_id": "product_id",
        "svn": "min_svn",
        "attributes": "",
        "xfrm": "",
        "misc_select": "",
        "config_id": "",
        "tcb_status": "tcb_statuses",
        "qe_status": "tcb_statuses",
        "advisories": "advisories",
        "platform_flags": "platform_flags",
        "tcb_evaluation": "min_tcb_evaluation",
        "collateral_age": "max_collateral_age_s",
    }


def test_fields_of_virtual_machines() -> None:
    """So do those of trust domains and of SNP guests."""
    lab, amd = Lab(tee="TDX"), snp_authority(NOW_S)
    evidence = tdx_evidence(lab, config=(b"\1" * 48, ZERO48, ZERO48))
    assert fields(evidence, policy(TDX, lab.root_der)) == {"mr_config_id": "tdx.mr_config_id"}
    assert fields(tdx_evidence(lab), policy(but(TDX, tdx=None), lab.root_der)) == {"tee": "tdx"}
    asked = replace(SNP, platform_flags=frozenset(), snp=SnpRequirements(min_tcb={"snp": 255}))
    found = fields(snp_evidence(amd, vmpl=1, host_data=b"\1" * 32), policy(asked, amd.root()))
    assert {code: field for code, field in found.items() if code != "tcb"} == {
        "vmpl": "snp.vmpl",
        "host_data": "snp.host_data",
        "platform_flags": "platform_flags",
        **{code: "snp.min_tcb.snp" for code, field in found.items() if "min_tcb" in field},
    }
    assert fields(snp_evidence(amd), policy(but(SNP, snp=None), amd.root()))["tee"] == "snp"


def test_mismatches() -> None:
    """What was expected and what came are in every mismatch, in words."""
    hint = "do something"
    [one] = equal("role", "f", "a", "", hint)
    assert one.as_json() == {
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
    assert (five.field, five.expected, five.got) == ("", "0x3, and of 0x10 any", "0x21")
    [six] = bits("xfrm", 0x3, 0, 0x1, hint)
    assert six.expected == "0x3"
    assert str(six) == "xfrm: expected 0x3, got 0x1; do something"


@pytest.mark.parametrize(
    ("lab", "body", "tee"),
    [
        (Lab(), sgx_body(), "sgx"),
        (Lab(tee="TDX"), tdx_body(), "tdx"),
        (Lab(tee="TDX"), tdx_body(service_td=ZERO48), "tdx"),
    ],
)
def test_wanted_collateral(lab: Lab, body: bytes, tee: str) -> None:
    """An enclave asks for the collateral of its own machine and TEE."""
    found = json.loads(wanted_collateral(lab.quote(body)))
    assert found == {"tee": tee, "fmspc": "5e0000000000", "ca": found["ca"]}
    assert found["ca"] in ("platform", "processor")


@pytest.mark.parametrize("limit", range(1, 9))
def test_base64(limit: int) -> None:
    """Base64 of so many bytes is taken, of one more is not."""
    for length in range(limit + 1):
        assert decode_base64(b64encode(bytes(length)).decode(), limit, "x") == bytes(length)
    for length in range(limit + 1, limit + 5):
        with pytest.raises(MalformedError, match="x"):
            decode_base64(b64encode(bytes(length)).decode(), limit, "x")
