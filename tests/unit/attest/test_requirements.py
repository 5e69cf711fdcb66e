"""Demands of a policy: every field has its form and its bounds."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from sealflow.attest.reports import PlatformFlag, TcbStatus
from sealflow.attest.requirements import OutOfDateWaiver, Requirements
from sealflow.attest.vm_requirements import SnpRequirements, TdxRequirements
from sealflow.errors import MalformedError
from tests.support.attestation.dcap_certificates import DAY_S

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
        min_tcb={"Milan": {"bootloader": 4, "tee": 0, "snp": 0, "microcode": 200}},
        host_data=frozenset({"77" * 32}),
        vmpl=2,
        insecure_no_revocations=True,
    ),
    insecure_out_of_date=OutOfDateWaiver(until=date(2026, 12, 31), reason="late microcode"),
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
        "min_tcb": {"Milan": {"bootloader": 4, "tee": 0, "snp": 0, "microcode": 200}},
        "host_data": ["77" * 32],
        "vmpl": 2,
        "insecure_no_revocations": True,
    },
    "insecure_signer_only": False,
    "insecure_out_of_date": {"until": "2026-12-31", "reason": "late microcode"},
}


def test_demands() -> None:
    """All demands have this form, and each comes back out of it."""
    assert FULL.to_json() == TABLE
    assert Requirements.from_json(TABLE, "w").to_json() == TABLE
    for name in set(TABLE) - {"measurements", "insecure_signer_only"}:
        short = Requirements.from_json({k: v for k, v in TABLE.items() if k != name}, "w")
        assert short.to_json().get(name) != TABLE[name], name
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
        (("snp", "min_tcb", "Milan", "tee"), (0, 255), (-1, 256, None)),
        (("snp", "author_keys"), ([], ["ab" * 48]), (["ab" * 32], "ab")),
        (("snp", "insecure_any_tcb"), (True, False), (1, "yes")),
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
