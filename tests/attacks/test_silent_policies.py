"""What a policy does not say, row 114 of docs/threat-model.md: its silence is the strict answer."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.attest.checks import check_age
from sealflow.attest.policy import Policy, SimulationPolicy
from sealflow.attest.reports import TCB_PARTS, TDX_REGISTERS
from sealflow.attest.requirements import DAY_S, OutOfDateWaiver, Requirements
from sealflow.attest.vm_requirements import SnpRequirements, TdxRequirements
from sealflow.errors import MalformedError
from tests.support.attestation.dcap_authority import DcapAuthority
from tests.support.attestation.policies import (
    NOW_MS,
    SGX,
    SNP,
    TDX,
    change_requirements,
    sgx_codes,
    snp_codes,
    tdx_codes,
)
from tests.support.attestation.snp_authority import TCB

if TYPE_CHECKING:
    from collections.abc import Callable

SHORTEST: dict[str, Any] = {
    "sgx": {"measurements": ["11" * 32]},
    "tdx": {
        "measurements": ["33" * 48],
        "tdx": {f"rtmr{number}": [f"4{number}" * 48] for number in range(3)},
    },
    "snp": {"measurements": ["11" * 48], "platform_flags": ["smt_enabled"], "snp": {}},
}
NARROWS = {
    "signers": "the measurement names the code whole",
    "product_id": "the measurement names the code whole",
    "min_svn": "the measurement names the code whole",
    "min_tcb_evaluation": "collateral is no older than max_collateral_age_s, and has an end",
}
"""Keys that make a list of accepted code shorter; without them it is exactly that code."""


def refused(table: dict[str, Any]) -> list[str]:
    """The policy itself does not load."""
    with pytest.raises(MalformedError):
        Requirements.from_json(table, "demands")
    return ["config"]


def register(name: str) -> list[str]:
    """Judge a TD that has a value in a register that the policy does not name."""
    if name in SHORTEST["tdx"]["tdx"]:
        registers = {each: v for each, v in SHORTEST["tdx"]["tdx"].items() if each != name}
        return refused({**SHORTEST["tdx"], "tdx": registers})
    if name == "rtmr3":
        values = tuple(bytes([each]) * 48 for each in (0x40, 0x41, 0x42, 9))
        return tdx_codes(TDX, registers=values)
    place = ("mr_config_id", "mr_owner", "mr_owner_config").index(name)
    config = [bytes(48)] * 3
    config[place] = b"\1" * 48
    return tdx_codes(TDX, config=tuple(config))


def old_collateral() -> list[str]:
    """Judge collateral that is a second too old."""
    month_s = timedelta(days=30) // timedelta(seconds=1)
    assert not list(check_age(NOW_MS // 1000 - month_s, SGX, NOW_MS))
    return [each.code for each in check_age(NOW_MS // 1000 - month_s - 1, SGX, NOW_MS)]


SNP_TABLE = {"measurements": ["11" * 48]}
SILENT: dict[type, dict[str, Callable[[], list[str]]]] = {
    Requirements: {
        "measurements": lambda: refused({"signers": ["22" * 32]}),
        "tcb_statuses": lambda: sgx_codes(SGX, DcapAuthority(tcb_status="SWHardeningNeeded")),
        "advisories": lambda: sgx_codes(SGX, DcapAuthority(advisories=("INTEL-SA-00615",))),
        "max_collateral_age_s": old_collateral,
        "platform_flags": lambda: snp_codes(
            change_requirements(SNP, platform_flags=frozenset()), platform_info=0
        ),
        "tdx": lambda: tdx_codes(change_requirements(TDX, tdx=None)),
        "snp": lambda: snp_codes(change_requirements(SNP, snp=None)),
        "insecure_signer_only": lambda: refused({"signers": ["22" * 32], "product_id": 1}),
        "insecure_out_of_date": lambda: sgx_codes(SGX, DcapAuthority(tcb_status="OutOfDate")),
    },
    TdxRequirements: {
        "registers": lambda: [code for name in TDX_REGISTERS for code in register(name)],
        "insecure_unchecked_registers": lambda: register("rtmr3"),
    },
    SnpRequirements: {
        "min_tcb": lambda: refused({**SNP_TABLE, "snp": {}}),
        "insecure_any_tcb": lambda: refused({**SNP_TABLE, "snp": {"min_tcb": {}}}),
        "host_data": lambda: snp_codes(SNP, host_data=b"\1" * 32),
        "vmpl": lambda: snp_codes(SNP, vmpl=1),
        "author_keys": lambda: snp_codes(SNP, author_key=b"\1" * 48),
        "insecure_no_revocations": lambda: snp_codes(SNP, b""),
    },
}


def test_114_every_field() -> None:
    """A policy that leaves a key out refuses what the key would refuse; no key is missing here."""
    for kind, cases in SILENT.items():
        narrows = NARROWS.keys() if kind is Requirements else set()
        assert {each.name for each in fields(kind)} == cases.keys() | narrows
        for name, judge in cases.items():
            assert judge(), name
    assert {each.name for each in fields(OutOfDateWaiver)} == {"until", "reason"}
    required = {"role", "tee", "deployment", "manifest_digest", "requirements", "insecure_root"}
    assert SimulationPolicy.__dataclass_fields__["share_batch"].default is False
    optional = {each.name for kind in (Policy, SimulationPolicy) for each in fields(kind)}
    # The directory, whose signer is proved, names all that these would choose from.
    # Witnesses are others' word besides: without them pins and links hold all the same.
    chosen = {"models", "owners", "verifiers", "suites", "share_batch", "log"}
    assert optional - required == chosen


@pytest.mark.parametrize("part", TCB)
@pytest.mark.parametrize("kind", ["reported", "committed", "launch"])
def test_114_snp_firmware(kind: str, part: str) -> None:
    """Old firmware is refused in each part: as reported, as committed, as it started the guest."""
    higher = SnpRequirements(min_tcb={"Milan": {**TCB, part: TCB[part] + 1}})
    assert f"{kind}_tcb" in snp_codes(change_requirements(SNP, snp=higher))
    with pytest.raises(MalformedError, match="missing"):
        SnpRequirements.from_json({"min_tcb": {"Milan": {p: 1 for p in TCB if p != part}}}, "snp")
    with pytest.raises(MalformedError, match="product line"):
        SnpRequirements.from_json({"min_tcb": dict.fromkeys(TCB_PARTS, 1)}, "snp")
    for line in ({"Milan": {p: 1 for p in TCB if p != part}}, {"Rome": dict.fromkeys(TCB, 1)}):
        with pytest.raises(MalformedError, match="known line"):
            SnpRequirements(min_tcb=line)


def test_114_another_product() -> None:
    """The numbers of one product line say nothing about another."""
    other = SnpRequirements(min_tcb={"Genoa": dict.fromkeys(TCB, 0)})
    assert snp_codes(change_requirements(SNP, snp=other)) == ["product"]


def test_114_forged_microcode() -> None:
    """Microcode that takes forged updates is refused, though the policy's numbers are low."""
    low = SnpRequirements(min_tcb={"Milan": dict.fromkeys(TCB, 0)})
    found = snp_codes(change_requirements(SNP, snp=low), cpu=(0x19, 0x01, 1))
    assert found == ["reported_tcb", "committed_tcb", "launch_tcb"]


def test_shortest_tables() -> None:
    """The shortest tables are those of the policies that the cases above bend."""
    for table, demands in (("sgx", SGX), ("tdx", TDX)):
        read = Requirements.from_json(SHORTEST[table], "demands")
        assert read.measurements == demands.measurements
    refused(SHORTEST["snp"])
    assert old_collateral() == ["collateral_age"]
    assert SGX.max_collateral_age_s == 30 * DAY_S
