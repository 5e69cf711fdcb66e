"""Bound claims, evidence and settings: round trips, and what does not parse."""

from __future__ import annotations

import json
from base64 import b64encode
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealflow.attest.claims import TrustRoot, verify
from sealflow.attest.deployment import MAX_DEPLOYMENT_BYTES, Deployment
from sealflow.attest.evidence import (
    MAX_COLLATERAL_BYTES,
    MAX_QUOTE_BYTES,
    BoundClaims,
    Evidence,
    Role,
    Tee,
    report_data,
)
from sealflow.attest.layout import split_quote, unverified_report_data
from sealflow.attest.policy import Policy, SimulationPolicy
from sealflow.attest.requirements import Requirements
from sealflow.attest.simulated.founding import found_platform
from sealflow.attest.simulated.measurement import simulated_measurement
from sealflow.attest.simulated.platform import Platform
from sealflow.attest.wanted import wanted_collateral
from sealflow.errors import EvidenceError, MalformedError
from sealflow.wire.world import World
from tests.conformance.test_attestation_samples import QUOTES, sample
from tests.sim.claims import bound_claims, evidence_of
from tests.sim.dcap_lab import NOW_S, Lab, sgx_body, tdx_body
from tests.sim.deployments import simulated_deployment
from tests.sim.snp_authority import snp_authority

NOW_MS = 1000 * NOW_S
OWNER = "0a" * 32


def changed(encoded: bytes, **changes: Any) -> bytes:
    """JSON with other values; None takes a key away."""
    value = {**json.loads(encoded), **changes}
    absent = {key for key, each in changes.items() if each is None}
    return json.dumps({key: each for key, each in value.items() if key not in absent}).encode()


@pytest.mark.parametrize("tee", list(Tee))
@pytest.mark.parametrize("role", list(Role))
def test_bound_claims(tee: Tee, role: Role) -> None:
    """Bound claims are read as they were written."""
    bound = bound_claims(tee=tee, role=role)
    assert BoundClaims.parse(bound.encode()) == bound


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol": "sealflow/2"},
        {"role": "gateway"},
        {"tee": "sev"},
        {"tee": 5},
        {"nonce": "AB" * 32},
        {"nonce": ""},
        {"manifest_digest": "cd"},
        {"deployment": ""},
        {"instance": "x"},
        {"sealing_suite": "1"},
        {"sealing_suite": True},
        {"sealing_key": "*"},
        {"sealing_key": b64encode(bytes(5000)).decode()},
        {"signing_key": b64encode(bytes(31)).decode()},
        {"signing_key": b64encode(bytes(33)).decode()},
        {"software": None},
        {"extra": "x"},
    ],
)
def test_broken_bound_claims(changes: dict[str, Any]) -> None:
    """Bound claims of another protocol, with a wrong, missing or unknown field do not parse."""
    with pytest.raises(MalformedError):
        BoundClaims.parse(changed(bound_claims().encode(), **changes))


def test_report_data() -> None:
    """Each bit of claims, role and world changes what the quote carries."""
    bound = bound_claims().encode()
    carried = {
        report_data(bound, Role.WORKER, World.SIMULATED),
        report_data(bound, Role.KEY_BROKER, World.SIMULATED),
        report_data(bound, Role.WORKER, World.HARDWARE),
        report_data(bound + b" ", Role.WORKER, World.SIMULATED),
    }
    assert [len(each) for each in carried] == [64] * 4


@given(st.binary(max_size=100), st.binary(max_size=100), st.binary(max_size=100))
def test_evidence(quote: bytes, bound: bytes, collateral: bytes) -> None:
    """Evidence is read as it was written, whatever is in it."""
    evidence = Evidence(tee=Tee.SNP, quote=quote, bound=bound, collateral=collateral)
    assert Evidence.from_json(json.loads(json.dumps(evidence.as_json()))) == evidence


@pytest.mark.parametrize(
    "changes",
    [
        {"tee": "sev"},
        {"quote": 5},
        {"quote": "AA="},
        {"quote": b64encode(bytes(MAX_QUOTE_BYTES + 3)).decode()},
        {"collateral": b64encode(bytes(MAX_COLLATERAL_BYTES + 3)).decode()},
        {"bound": None},
        {"extra": ""},
    ],
)
def test_broken_evidence(changes: dict[str, Any]) -> None:
    """Evidence with a wrong, missing, unknown or too large part does not parse."""
    whole = Evidence(tee=Tee.SGX, quote=b"q", bound=b"b", collateral=b"c").as_json()
    with pytest.raises(MalformedError):
        Evidence.from_json(json.loads(changed(json.dumps(whole).encode(), **changes)))
    with pytest.raises(MalformedError):
        Evidence.from_json([])


def test_quote_of_other_hardware() -> None:
    """A genuine quote of a trust domain does not pass as one of an enclave."""
    name = "tdx-v4-uptodate.quote"
    entry = QUOTES[name]
    evidence = Evidence(
        tee=Tee.SGX,
        quote=sample(name),
        bound=bound_claims(tee=Tee.SGX).encode(),
        collateral=sample(entry["collateral"]),
    )
    with pytest.raises(EvidenceError, match="the quote is of tdx, not of sgx"):
        verify(evidence, TrustRoot(), 1000 * entry["verify_at"])


def test_simulated_platform() -> None:
    """A simulated platform survives a file, and its quotes verify before and after."""
    platform = found_platform(NOW_MS)
    again = Platform.parse(platform.encode())
    root = TrustRoot(insecure_root=platform.root_der)
    for each in (platform, again):
        quote = partial(each.quote, b"\1" * 32)
        evidence = evidence_of(bound_claims(), quote, each.collateral)
        assert verify(evidence, root, NOW_MS).measurement == "01" * 32


@pytest.mark.parametrize("status", ["OutOfDate", "SWHardeningNeeded"])
def test_simulated_statuses(status: str) -> None:
    """A simulated platform can be told what its collateral says of it."""
    platform = found_platform(NOW_MS, tcb_status=status)
    evidence = evidence_of(
        bound_claims(), lambda data: platform.quote(bytes(32), data), platform.collateral
    )
    root = TrustRoot(insecure_root=platform.root_der)
    assert verify(evidence, root, NOW_MS).tcb_status == status


@pytest.mark.parametrize(
    "changes", [{"attestation_key": b64encode(bytes(32)).decode()}, {"root": 5}, {"extra": ""}]
)
def test_broken_platforms(changes: dict[str, Any]) -> None:
    """A platform's file with a wrong key or an unknown field does not parse."""
    with pytest.raises(MalformedError):
        Platform.parse(changed(found_platform(NOW_MS).encode(), **changes))


def test_measurements() -> None:
    """Each role has a measurement of its own, the same in every process of this code."""
    worker, keybroker = map(simulated_measurement, (Role.WORKER, Role.KEY_BROKER))
    assert worker == simulated_measurement(Role.WORKER)
    assert worker != keybroker


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
    assert Deployment.parse(settings.encode()) == settings
    policy = settings.policy(Role.WORKER)
    assert isinstance(policy, Policy)
    assert (policy.tee, policy.manifest_digest) == (Tee.SGX, settings.digest)
    made = simulated_deployment(NOW_MS).deployment
    assert Deployment.parse(made.encode()) == made
    assert isinstance(made.policy(Role.KEY_BROKER), SimulationPolicy)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"epoch_s": 4}, "epoch_s"),
        ({"grace_s": 899}, "raise grace_s"),
        ({"directory_s": 3601}, "lower directory_s"),
        ({"epoch_s": 600, "clock_skew_s": 601, "grace_s": 1300}, "raise epoch_s"),
        ({"lease_s": 7201}, "lower lease_s"),
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
        {"keybroker": []},
        {"keybroker": {"measurements": []}},
        {"deployment": None},
        {"insecure_simulated_root": 5},
    ],
)
def test_broken_deployments(changes: dict[str, Any]) -> None:
    """Settings with a wrong or missing field do not parse."""
    with pytest.raises(MalformedError) as caught:
        Deployment.parse(changed(deployment().encode(), **changes))
    assert "one form" not in str(caught.value)


def test_one_form() -> None:
    """Settings have one form, so that their digest is one too, and a bounded size."""
    text = deployment().encode()
    with pytest.raises(MalformedError, match="one form"):
        Deployment.parse(text.replace(b",", b", ", 1))
    with pytest.raises(MalformedError, match="over"):
        Deployment.parse(text + b" " * MAX_DEPLOYMENT_BYTES)


def test_layout() -> None:
    """Quotes are cut into parts without a verifier; what is cut too short is refused."""
    lab = Lab()
    quote = lab.quote(sgx_body(b"\7" * 64))
    parts = split_quote(quote)
    assert (parts.version, parts.tdx, len(parts.signed)) == (3, False, 432)
    assert unverified_report_data(quote) == b"\7" * 64
    assert unverified_report_data(snp_authority(NOW_S).report(b"\5" * 64)) == b"\5" * 64
    tdx = Lab(tee="TDX").quote(tdx_body(b"\6" * 64, service_td=bytes(48)))
    assert (split_quote(tdx).version, len(split_quote(tdx).signed)) == (5, 702)
    assert unverified_report_data(tdx) == b"\6" * 64


def test_shortest_quote() -> None:
    """A quote ends with its signature's length at the earliest."""
    quote = Lab().quote(sgx_body())
    assert split_quote(quote[:432] + bytes(4)).signed == quote[:432]
    with pytest.raises(MalformedError, match="within its body"):
        split_quote(quote[:435])
    with pytest.raises(MalformedError, match="within its signature"):
        split_quote(quote[:-1])


def test_wanted_without_certificates() -> None:
    """A quote that brings no certificate does not say which collateral goes with it."""
    quote = Lab(chain=()).quote(sgx_body())
    with pytest.raises(MalformedError, match="no PCK certificate"):
        wanted_collateral(quote)
