"""The settings of a deployment: their one form, their contradictions, the bounds of their times."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from sealflow.attest.deployment import MAX_DEPLOYMENT_BYTES, Deployment
from sealflow.attest.evidence import Role, Tee
from sealflow.attest.policy import Policy, SimulationPolicy
from sealflow.attest.requirements import Requirements
from sealflow.attest.suites import SuiteName
from sealflow.errors import MalformedError
from tests.support.attestation.dcap_certificates import NOW_S
from tests.support.attestation.deployments import simulated_deployment
from tests.support.attestation.evidence import change_json
from tests.support.attestation.policies import SGX, TDX

OWNER = "0a" * 32


def deployment(**changes: Any) -> Deployment:
    """Settings for SGX."""
    demands = Requirements(measurements=frozenset({"11" * 32}))
    values: dict[str, Any] = {
        "name": "prod",
        "tee": Tee.SGX,
        "owners": frozenset({OWNER}),
        "keybroker": demands,
        "worker": demands,
        **changes,
    }
    return Deployment(**values)


def test_deployment() -> None:
    """Settings are read as they were written, and their policy is of the hardware's class."""
    settings = deployment()
    assert Deployment.from_bytes(settings.to_bytes()) == settings
    policy = settings.policy(Role.WORKER)
    assert isinstance(policy, Policy)
    assert (policy.tee, policy.manifest_digest) == (Tee.SGX, settings.digest)
    made = simulated_deployment(1000 * NOW_S).deployment
    assert Deployment.from_bytes(made.to_bytes()) == made
    assert isinstance(made.policy(Role.KEY_BROKER), SimulationPolicy)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"epoch_s": 4}, "epoch_s"),
        ({"grace_s": 899}, "raise grace_s"),
        ({"directory_s": 3601}, "lower directory_s"),
        ({"epoch_s": 600, "clock_skew_s": 601, "grace_s": 1300}, "raise epoch_s"),
        ({"lease_s": 7201}, "lower lease_s"),
        (
            {"grace_s": 1201, "epoch_s": 50, "clock_skew_s": 50, "lease_s": 99, "directory_s": 50},
            "lower grace_s",
        ),
        ({"suites": ()}, "suites"),
        ({"suites": (SuiteName.X25519, SuiteName.X25519)}, "suites"),
        ({"tee": Tee.SIMULATED}, "insecure_simulated_root"),
        ({"insecure_simulated_root": b"x"}, "insecure_simulated_root"),
        ({"tee": Tee.TDX}, "96 hex digits"),
    ],
)
def test_contradictions(changes: dict[str, Any], why: str) -> None:
    """Settings that contradict each other cannot be."""
    with pytest.raises(MalformedError, match=why):
        deployment(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"tee": "sev"},
        {"owners": OWNER},
        {"owners": ["x"]},
        {"epoch_s": "3600"},
        {"suites": []},
        {"suites": "x-wing"},
        {"suites": ["0x0001"]},
        {"suites": None},
        {"keybroker": []},
        {"keybroker": {"measurements": []}},
        {"deployment": None},
        {"insecure_simulated_root": 5},
    ],
)
def test_broken_deployments(changes: dict[str, Any]) -> None:
    """Settings with a wrong or missing field do not parse."""
    with pytest.raises(MalformedError) as caught:
        Deployment.from_bytes(change_json(deployment().to_bytes(), **changes))
    assert "canonical form" not in str(caught.value)


def test_suites() -> None:
    """The suites are part of what is measured, in their order."""
    x_wing, x25519 = SuiteName.X_WING, SuiteName.X25519
    found = [deployment(suites=each) for each in ((x_wing,), (x25519,), (x_wing, x25519))]
    found.append(deployment(suites=(x25519, x_wing)))
    assert found[0] == deployment()
    assert [Deployment.from_bytes(each.to_bytes()) for each in found] == found
    assert len({each.digest for each in found}) == len(found)


def test_canonical_form() -> None:
    """Settings have one canonical form, so that they have one digest, and a bounded size."""
    text = deployment().to_bytes()
    with pytest.raises(MalformedError, match="canonical form"):
        Deployment.from_bytes(text.replace(b",", b", ", 1))
    with pytest.raises(MalformedError, match="over"):
        Deployment.from_bytes(text + b" " * MAX_DEPLOYMENT_BYTES)


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
    found = Deployment.from_bytes(made.to_bytes())
    assert found.to_bytes() == made.to_bytes()
    assert (found.operators, found.owners) == (made.operators, made.owners)
    assert made.digest == hashlib.sha256(made.to_bytes()).hexdigest()
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
        {"epoch_s": 60, "grace_s": 1440, "clock_skew_s": 60, "directory_s": 60, "lease_s": 120},
    ],
)  # fmt: skip
def test_times_at_their_bounds(times: dict[str, int]) -> None:
    """Every time may be as short and as long as the specification says, and no more."""
    hardware(Tee.SGX, SGX, **times)
    for name, value in times.items():
        for moved in (value - 1, value + 1):
            whole = times | {name: moved}
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
        and whole["grace_s"] <= 24 * whole["epoch_s"]
    )
