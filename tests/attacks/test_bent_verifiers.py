"""Attacks on what a client keeps or is told: verifiers, passports, suites, pins and answers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.attest.verifiers import TrustedVerifier, base64url
from sealflow.documents.log import LogEntry
from sealflow.errors import ConfigError, EvidenceError, MalformedError, UnavailableError
from sealflow.owner import AuditedLog
from sealflow.owner.http.steps import HttpResponse
from sealflow.owner.trust.directory_refresh import _fetch_directory
from sealflow.owner.trust.pin import DirectoryPin
from sealflow.owner.trust.policy_file import _verifiers
from sealflow.owner.trust.session import ServiceSession
from sealflow.owner.trust.verified_service import unverified_passports
from sealflow.wire.domain import TrustDomain
from sealflow.wire.strict_json import canonical_json
from tests.support.attestation.deployments import simulated_deployment
from tests.support.attestation.policies import SGX, policy
from tests.support.cluster.published_service import NOW_MS, PublishedService
from tests.support.passports.tokens import P256, hardware_policy
from tests.support.trusted.keybroker import KeyBrokerInstance, error_code

if TYPE_CHECKING:
    from pathlib import Path

HALF = base64url(bytes(range(32)))
KEY = {"kty": "OKP", "crv": "Ed25519", "x": HALF}
VERIFIER: dict[str, Any] = {"name": "v", "key": KEY}
ON_CURVE = P256.trusted("v").public
POINT = {"kty": "EC", "crv": "P-256", "x": HALF, "y": HALF}
ENTRY = {
    "at_ms": 1,
    "body": {},
    "format": 1,
    "kind": "opened",
    "number": 0,
    "previous": None,
}


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../v"},
        {"instead_of_evidence": 1},
        {"key": KEY | {"kty": 1}},
        {"key": KEY | {"kty": "oct"}},
        {"key": KEY | {"crv": {}}},
        {"key": KEY | {"crv": "Ed448"}},
        {"key": KEY | {"x": HALF + "="}},
        {"key": KEY | {"x": HALF[:20] + "\n" + HALF[20:]}},
        {"key": KEY | {"x": HALF + "AA"}},
        {"key": KEY | {"x": HALF + "AAA"}},
        {"key": KEY | {"x": HALF[:41]}},
        {"key": KEY | {"x": HALF[:-1] + "9"}},
        {"key": POINT},
        {"key": POINT | {"x": base64url(ON_CURVE[:31]), "y": base64url(ON_CURVE[31:])}},
    ],
    ids=str,
)
def test_verifiers(change: dict[str, Any]) -> None:
    """A verifier has a name, and a key of one form that is on its curve."""
    TrustedVerifier.from_json(VERIFIER)
    with pytest.raises(MalformedError):
        TrustedVerifier.from_json(VERIFIER | change)


def test_keys_of_verifiers() -> None:
    """No verifier exists whose key is not one of its curve."""
    for curve, length in (("Ed25519", 31), ("P-256", 32), ("Ed448", 57)):
        with pytest.raises(MalformedError, match="not one of Ed25519 or P-256"):
            TrustedVerifier(name="v", curve=curve, public=bytes(length))


@pytest.mark.parametrize(
    "value",
    [
        {"0": VERIFIER},
        1,
        [VERIFIER | {"name": f"v{at}", "key": KEY | {"x": base64url(bytes([at]) * 32)}}
         for at in range(65)],
        [VERIFIER, VERIFIER | {"name": "w"}],
        [VERIFIER, VERIFIER | {"key": KEY | {"x": base64url(bytes(32))}}],
    ],
)  # fmt: skip
def test_lists_of_verifiers(value: object) -> None:
    """A policy has a bounded list of verifiers, each with a name and a key of its own."""
    _verifiers([VERIFIER, {"name": "w", "key": KEY | {"x": base64url(bytes(32))}}])
    with pytest.raises(MalformedError, match="verifiers"):
        _verifiers(value)


@pytest.mark.parametrize("value", [{}, "", [1], [""] * 1000], ids=str)
def test_passports(value: object) -> None:
    """Passports beside a directory are a bounded list of strings."""
    unverified_passports(b'{"passports":[""]}')
    with pytest.raises(MalformedError, match="passports is not a list"):
        unverified_passports(json.dumps({"passports": value}).encode())


def test_suites() -> None:
    """No deployment and no policy exists without a suite."""
    made = simulated_deployment(NOW_MS)
    for good in (made.deployment, policy(SGX, b""), hardware_policy()):
        with pytest.raises(MalformedError, match="suites"):
            replace(good, suites=())


def test_challenges() -> None:
    """A challenge that is not a string is malformed."""
    broker = KeyBrokerInstance().lead()
    evidence = broker.identity.evidence("00" * 32).to_json()
    assert error_code(broker.ask("enroll", challenge=1, evidence=evidence)) == "malformed"


@pytest.mark.parametrize("change", [{"previous": "00" * 32}, {"number": 1}], ids=str)
def test_first_entries(change: dict[str, Any]) -> None:
    """The first log entry has no entry before it, and all others do."""
    LogEntry.unverified_from_bytes(canonical_json(ENTRY))
    with pytest.raises(MalformedError, match="previous"):
        LogEntry.unverified_from_bytes(canonical_json(ENTRY | change))


def test_no_pin(tmp_path: Path) -> None:
    """A log is not said to have a directory that nobody pinned."""
    log = AuditedLog(domain=TrustDomain.SIMULATED, entries=(), digests=("00" * 32,))
    with pytest.raises(ConfigError, match="there is no pin"):
        log.require_pinned(tmp_path / "pin")


def test_pins_of_other_processes(tmp_path: Path) -> None:
    """A process compares a directory with the pin that another process wrote meanwhile."""
    service = PublishedService.create()
    newer = service.directory(version=5, previous="99" * 32)
    pins = [DirectoryPin(tmp_path / "pin") for _ in range(3)]
    pins[0].accept(newer, b"newer")
    with pytest.raises(EvidenceError) as caught:
        pins[1].accept(replace(newer, version=4), b"older")
    assert caught.value.code == "directory_rollback"
    later = replace(newer, version=7, log_number=newer.log_number + 2)
    assert pins[2].gap(later) is not None


def test_damaged_pins(tmp_path: Path) -> None:
    """A pin that is damaged while a client runs is not overwritten, and not taken for none."""
    path, directory = tmp_path / "pin", PublishedService.create().directory()
    pin = DirectoryPin(path)
    path.write_bytes(b"{}")
    with pytest.raises(ConfigError):
        pin.gap(directory)
    with pytest.raises(ConfigError):
        pin.accept(directory, b"payload")
    assert path.read_bytes() == b"{}"


def test_before_the_first_directory() -> None:
    """Nothing is said of models before a directory was verified."""
    service = PublishedService.create()
    session = ServiceSession(service.policy, clock_ms=lambda: NOW_MS)
    with pytest.raises(EvidenceError) as caught:
        session.model("m")
    assert caught.value.code == "directory_expired"


def test_errors_with_a_directory() -> None:
    """A directory in an error's answer is not looked at."""
    service = PublishedService.create()
    steps = _fetch_directory(ServiceSession(service.policy, clock_ms=lambda: NOW_MS))
    next(steps)
    with pytest.raises(UnavailableError):
        steps.send(HttpResponse(status=503, headers={}, body=service.document()))
