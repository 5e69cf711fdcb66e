"""Attacks on what a key broker writes for others and itself: row 107 of docs/threat-model.md."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sealflow.attest.evidence import Role
from sealflow.attest.policy import appraise
from sealflow.attest.suites import ALL_SUITES
from sealflow.documents.directory import Directory, SignedDirectory
from sealflow.documents.grant import Grant
from sealflow.errors import MalformedError
from sealflow.openinfer.tensor import DataType, TensorSpec
from sealflow.owner import OwnerKey, RevokedKind
from sealflow.owner.trust.session import ServiceSession
from sealflow.trusted.identity import identity
from sealflow.trusted.keybroker.state import State
from sealflow.trusted.port import FatalError
from sealflow.wire.domain import TrustDomain
from sealflow.wire.fields import MAX_TIME_MS
from sealflow.wire.frame_payloads import Fatal
from sealflow.wire.frames import MAX_COLLATERAL_BYTES
from tests.support.attestation.deployments import simulated_deployment
from tests.support.trusted.keybroker import (
    KeyBrokerInstance,
    error_code,
    publication_without_order,
)
from tests.support.trusted.lease_host import NOW_MS, LeaseHost, make_identity


def wide(count: int) -> tuple[TensorSpec, ...]:
    """Specifications of tensors whose names take a KiB each."""
    return tuple(
        TensorSpec(
            name=f"{number:03}".ljust(256, "\U0001d535"), datatype=DataType.FP32, shape=(-1,)
        )
        for number in range(count)
    )


def still_read(host: LeaseHost) -> None:
    """Clients read what is published, and another process goes on from the state."""
    for _ in range(2):
        policy = host.made.deployment.policy(Role.KEY_BROKER)
        session = ServiceSession(policy, clock_ms=lambda: host.clock.now_ms)
        session.accept(session.verify_directory(host.document))
        host.restart_broker()


def test_107_far_times() -> None:
    """A publication from the end of time is refused, and the key broker starts again."""
    broker = KeyBrokerInstance().lead()
    for issued_ms in (MAX_TIME_MS, broker.now_ms + 4 * 366 * 86_400_000):
        assert error_code(broker.publish("m", issued_ms=issued_ms)) == "malformed"
    assert broker.publish("m")["version"] == 2
    former = publication_without_order(broker, "n", MAX_TIME_MS)
    assert error_code(broker.ask("publish", sealed=former)) == "malformed"
    again = broker.successor()
    assert [model.name for model in again.directory.models] == ["m"]


def test_107_wide_models() -> None:
    """One owner's models with endless names end at its own share of what all others read."""
    other = OwnerKey.generate(TrustDomain.SIMULATED)
    made = simulated_deployment(NOW_MS)
    owners = frozenset({made.owner.signer, other.signer})
    host = LeaseHost(replace(made, deployment=replace(made.deployment, owners=owners)))
    assert error_code(host.publish("m", inputs=wide(6))) == "full"
    names = iter(f"m{number}" for number in range(256))
    answer: dict[str, Any] = {}
    while "error" not in answer:
        answer = host.publish(next(names), inputs=wide(5))
    assert error_code(answer) == "full"
    assert "digest" in host.publish("others", other, inputs=wide(5))
    still_read(host)


@pytest.mark.usefixtures("long")
def test_107_undone() -> None:
    """What is over a limit only for all owners together changes nothing, and keys find room."""
    keys = [OwnerKey.generate(TrustDomain.SIMULATED) for _ in range(64)]
    made = simulated_deployment(NOW_MS)
    owners = frozenset(key.signer for key in keys)
    host = LeaseHost(replace(made, deployment=replace(made.deployment, owners=owners)))
    for number, key in enumerate(keys * 2):
        before = len(host.states), host.document
        answer = host.publish(f"m{number}", key, inputs=wide(5))
        if "error" in answer:
            break
    assert error_code(answer) == "full"
    assert (len(host.states), host.document) == before
    for _ in range(3):
        host.broker.advance(host.clock.advance(host.clock.now_ms + 3_600_000))
    still_read(host)
    digest = next(iter(host.packages))
    host.made = replace(host.made, owner=keys[0])
    assert "version" in host.revoke(RevokedKind.MODEL, digest)
    assert "version" in host.publish(f"m{number}", key, inputs=wide(5))
    still_read(host)


def test_107_many_epochs() -> None:
    """The most epochs that settings allow, of all suites, fit into what clients read, uncut."""
    times = {"epoch_s": 5, "grace_s": 120, "residence_s": 1, "clock_skew_s": 0}
    lives = {"lease_s": 4, "directory_s": 4}
    host = LeaseHost(simulated_deployment(NOW_MS, **times, **lives, suites=ALL_SUITES))
    created: dict[str, int] = {}
    for _ in range(60):
        now_ms = host.clock.advance(host.clock.now_ms + 3000)
        host.broker.advance(now_ms)
        keys = Directory.unverified_from_bytes(
            SignedDirectory.from_bytes(host.document).payload
        ).keys
        created |= {key.kid: key.destroy_ms for key in keys}
        due = {kid for kid, destroy_ms in created.items() if destroy_ms > now_ms}
        assert {key.kid for key in keys} == due
    assert len(keys) > 50
    still_read(host)


def test_107_large_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evidence that no client would read is not published; what was published stays."""
    broker = KeyBrokerInstance().lead()
    assert broker.leading is not None
    before, good = broker.document, broker.identity.collateral.content
    monkeypatch.setattr(identity, "MAX_COLLATERAL_BYTES", 2**20)
    assert broker.identity.collateral.replace(bytes(MAX_COLLATERAL_BYTES + 1))
    broker.leading.renew_evidence()
    assert broker.document == before
    assert broker.publish("m")["version"] == 2
    broker.identity.collateral.replace(good)
    broker.leading.renew_evidence()
    assert broker.directory.version == 3


def test_107_last_version() -> None:
    """After the last version that readers take nothing more is published or changed."""
    broker = KeyBrokerInstance().lead()
    assert broker.leading is not None
    key, digest = broker.leading.state_key.key, broker.identity.deployment.digest
    found = State.open(broker.states[-1], key, digest, TrustDomain.SIMULATED)

    def at(version: int) -> bytes:
        state = replace(found, directory_version=version)
        return state.seal(key, digest, TrustDomain.SIMULATED)

    again = broker.successor(at(2**53 - 2))
    assert again.directory.version == 2**53 - 1
    before = again.document, len(again.states)
    assert error_code(again.publish("m")) == "full"
    assert (again.document, len(again.states)) == before
    assert again.directory.models == ()
    with pytest.raises(FatalError) as caught:
        broker.successor(at(2**53 - 1))
    assert caught.value.code is Fatal.STATE


def test_107_grant() -> None:
    """A grant that its worker could not read is not sealed."""
    made = simulated_deployment(NOW_MS)
    nonce, policy = "5a" * 32, made.deployment.policy(Role.WORKER)
    approval = appraise(
        make_identity(made, Role.WORKER).evidence(nonce), policy, NOW_MS, nonce=nonce
    )
    signing = made.owner.signing
    grant = Grant(keys=(), models=(), lease_ms=NOW_MS, log_id="ab" * 32, directory_version=1)
    grant.seal(approval, signing)
    for change in ({"lease_ms": MAX_TIME_MS + 1}, {"log_id": "x"}, {"directory_version": -1}):
        with pytest.raises(MalformedError):
            replace(grant, **change).seal(approval, signing)
