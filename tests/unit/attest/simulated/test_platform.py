"""The simulated platform: its file, its quotes, its measurements of code."""

from __future__ import annotations

from base64 import b64encode
from functools import partial
from typing import Any

import pytest

from sealflow.attest.claims import TrustRoot, verify_evidence
from sealflow.attest.evidence import Role
from sealflow.attest.simulated.authority import create_platform
from sealflow.attest.simulated.measurement import simulated_measurement
from sealflow.attest.simulated.platform import SimulatedPlatform
from sealflow.errors import MalformedError
from tests.support.attestation.dcap_certificates import NOW_S
from tests.support.attestation.evidence import bound_claims, change_json, make_evidence

NOW_MS = 1000 * NOW_S


def test_simulated_platform() -> None:
    """A simulated platform survives a file, and its quotes verify before and after."""
    platform = create_platform(NOW_MS)
    again = SimulatedPlatform.from_bytes(platform.to_bytes())
    root = TrustRoot(insecure_root=platform.root_der)
    for each in (platform, again):
        quote = partial(each.quote, b"\1" * 32)
        evidence = make_evidence(bound_claims(), quote, each.collateral)
        assert verify_evidence(evidence, root, NOW_MS).measurement == "01" * 32


@pytest.mark.parametrize("status", ["OutOfDate", "SWHardeningNeeded"])
def test_simulated_statuses(status: str) -> None:
    """A simulated platform can be told what its collateral says of it."""
    platform = create_platform(NOW_MS, tcb_status=status)
    evidence = make_evidence(
        bound_claims(), lambda data: platform.quote(bytes(32), data), platform.collateral
    )
    root = TrustRoot(insecure_root=platform.root_der)
    assert verify_evidence(evidence, root, NOW_MS).tcb_status == status


@pytest.mark.parametrize(
    "changes", [{"attestation_key": b64encode(bytes(32)).decode()}, {"root": 5}, {"extra": ""}]
)
def test_broken_platforms(changes: dict[str, Any]) -> None:
    """A platform's file with a wrong key or an unknown field does not parse."""
    with pytest.raises(MalformedError):
        SimulatedPlatform.from_bytes(change_json(create_platform(NOW_MS).to_bytes(), **changes))


def test_measurements() -> None:
    """Each role has a measurement of its own, the same in every process of this code."""
    worker, keybroker = map(simulated_measurement, (Role.WORKER, Role.KEY_BROKER))
    assert worker == simulated_measurement(Role.WORKER)
    assert worker != keybroker
