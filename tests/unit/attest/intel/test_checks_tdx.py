"""What a policy demands of trust domains."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sealflow.attest.claims import TrustRoot, verify_evidence
from sealflow.attest.intel.checks import check_tdx
from sealflow.attest.policy import appraise
from sealflow.attest.reports import TdxReport
from sealflow.attest.vm_requirements import TdxRequirements
from tests.support.attestation.dcap_authority import DcapAuthority
from tests.support.attestation.policies import (
    NOW_MS,
    TDX,
    change_requirements,
    policy,
    tdx_codes,
    tdx_evidence,
)
from tests.support.attestation.quote_bodies import SEPT_VE_DISABLE


@pytest.mark.parametrize("name", ["rtmr0", "rtmr1", "rtmr2", "rtmr3"])
def test_registers(name: str) -> None:
    """A trust domain with other firmware, kernel, command line or run-time log is refused."""
    registers = [b"\x40" * 48, b"\x41" * 48, b"\x52" * 48, bytes(48)]
    registers[int(name[-1])] = b"\x66" * 48
    assert tdx_codes(TDX, registers=tuple(registers)) == [name]


@pytest.mark.parametrize("name", ["mr_config_id", "mr_owner", "mr_owner_config"])
def test_host_settings(name: str) -> None:
    """Settings that the host gave a trust domain must be named, else be zero."""
    names = ("mr_config_id", "mr_owner", "mr_owner_config")
    config = tuple(b"\x09" * 48 if each == name else bytes(48) for each in names)
    assert tdx_codes(TDX, config=config) == [name]
    assert TDX.tdx is not None
    named = TdxRequirements(registers={**TDX.tdx.registers, name: frozenset({"09" * 48})})
    lab = DcapAuthority(tee="TDX")
    wanted = policy(change_requirements(TDX, tdx=named), lab.root_der)
    appraise(tdx_evidence(lab, config=config), wanted, NOW_MS)


def test_unchecked_registers() -> None:
    """A register passes unchecked where a policy says so by an insecure option, and only then."""
    assert TDX.tdx is not None
    free = TdxRequirements(
        registers=TDX.tdx.registers, insecure_unchecked_registers=frozenset({"rtmr0"})
    )
    registers = (b"\x66" * 48, b"\x41" * 48, b"\x42" * 48, bytes(48))
    lab = DcapAuthority(tee="TDX")
    wanted = policy(change_requirements(TDX, tdx=free), lab.root_der)
    appraise(tdx_evidence(lab, registers=registers), wanted, NOW_MS)
    others = (*registers[:1], b"\x66" * 48, *registers[2:])
    assert tdx_codes(change_requirements(TDX, tdx=free), registers=others) == ["rtmr1"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"xfam": 0x01}, "xfam"),
        ({"xfam": 0x03 | 1 << 3}, "xfam"),
        ({"attributes": SEPT_VE_DISABLE | 1 << 63}, "attributes"),
        ({"attributes": SEPT_VE_DISABLE | 1 << 62}, "attributes"),
    ],
)
def test_tdx_state(body: dict[str, Any], code: str) -> None:
    """A trust domain with features that leak or that nobody knows is refused."""
    assert tdx_codes(TDX, **body) == [code]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"attributes": SEPT_VE_DISABLE | 1}, "attributes"),
        ({"attributes": SEPT_VE_DISABLE | 1 << 5}, "attributes"),
        ({"attributes": SEPT_VE_DISABLE | 1 << 29}, "attributes"),
        ({"attributes": SEPT_VE_DISABLE | 1 << 40}, "attributes"),
        ({"attributes": 0}, "attributes"),
        ({"seam_signer": "01" * 48}, "seam_signer"),
        ({"seam_attributes": 1}, "seam_attributes"),
        ({"service_td": "01" * 48}, "service_td"),
    ],
)
def test_tdx_without_library(changes: dict[str, Any], code: str) -> None:
    """What the library refuses first is refused by our own checks too."""
    lab = DcapAuthority(tee="TDX")
    report = verify_evidence(
        tdx_evidence(lab), TrustRoot(insecure_root=lab.root_der), NOW_MS
    ).report
    assert isinstance(report, TdxReport)
    assert list(check_tdx(report, TDX.tdx)) == []
    assert [each.code for each in check_tdx(replace(report, **changes), TDX.tdx)] == [code]
