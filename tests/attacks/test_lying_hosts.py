"""Attacks by a host on the enclaves that it carries for: orders, states, answers and packages."""

from __future__ import annotations

import dataclasses
import json
from base64 import b64encode
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.attest.evidence import Role, Tee
from sealflow.attest.policy import appraise
from sealflow.attest.requirements import DAY_S, Requirements
from sealflow.documents.log_tree import LogTree
from sealflow.documents.revocation import (
    RevocationOrder,
    Revoked,
    RevokedKind,
    SignedRevocationOrder,
)
from sealflow.errors import MalformedError, OpenError, UnavailableError
from sealflow.owner import OwnerKey
from sealflow.owner.models.owner_key import opening_key
from sealflow.package.container import UnverifiedPackage
from sealflow.trusted.keybroker import key_store, state
from sealflow.trusted.keybroker.log_writer import LogHead, LogWriter
from sealflow.trusted.keybroker.owner_requests import accept_publication, answer_control_request
from sealflow.trusted.keybroker.state import State, StateKey
from sealflow.trusted.port import FatalError
from sealflow.trusted.worker.lease import host_requests
from sealflow.trusted.worker.lease.enrollment import Enrollment
from sealflow.trusted.worker.lease.host_requests import ClosedError, HostRequests
from sealflow.wire.domain import TrustDomain
from sealflow.wire.frame_payloads import Fatal
from sealflow.wire.frames import MAX_CONTROL_BYTES, FrameKind, encode_chunk
from tests.support.attestation.deployments import simulated_deployment
from tests.support.models.publications import sealed_publication as seal_order
from tests.support.trusted import lease_host
from tests.support.trusted.keybroker import (
    NOW_MS,
    OPERATOR,
    OTHER_OWNER,
    KeyBrokerInstance,
    error_code,
    keybroker_deployment,
    make_identity,
    pack_model,
)
from tests.support.trusted.lease_host import LeaseHost
from tests.support.trusted.recorded_port import RecordedPort

if TYPE_CHECKING:
    from collections.abc import Callable

WORLD = TrustDomain.SIMULATED
STRANGER = OwnerKey.generate(WORLD)
WORKER = Revoked(kind=RevokedKind.WORKER, id="ab" * 16)
DIGEST = "ab" * 32


def sealed_publication(broker: KeyBrokerInstance, **changes: Any) -> str:
    """A publication for a key broker, of a package of which something is changed."""
    owner = keybroker_deployment().owner
    good = UnverifiedPackage.from_bytes(pack_model("m", owner)).verify(owner.signer)
    package = dataclasses.replace(good, **changes)
    keybroker, key = broker.identity.private_key.public_key, good.unwrap(opening_key(owner))
    log_id = broker.directory.log_id
    sealed = seal_order(package, key, keybroker, owner.signing, log_id=log_id)
    return b64encode(sealed).decode()


def order(
    broker: KeyBrokerInstance, signing: OwnerKey = OPERATOR, **changes: Any
) -> dict[str, Any]:
    """A revocation order of the operator's."""
    plain = RevocationOrder(
        deployment="test",
        log_id=broker.directory.log_id,
        counter=NOW_MS,
        revoked=(WORKER,),
        signer=OPERATOR.signer,
    )
    changed = dataclasses.replace(plain, **changes)
    return SignedRevocationOrder.sign(changed, signing.signing, WORLD).to_json()


ORDERS: list[tuple[Callable[[KeyBrokerInstance], dict[str, Any]], str]] = [
    (lambda broker: broker.ask("describe", other=1), "malformed"),
    (lambda broker: broker.ask("challenge", other=1), "malformed"),
    (lambda broker: broker.ask("nothing"), "unknown_op"),
    (lambda broker: broker.ask("publish", sealed="AA=="), "not_opened"),
    (
        lambda broker: broker.ask(
            "publish", sealed=sealed_publication(broker, signature=bytes(64))
        ),
        "malformed",
    ),
    (lambda broker: broker.publish("m", owner=STRANGER), "not_an_owner"),
    (lambda broker: broker.publish("first", owner=OTHER_OWNER), "name_taken"),
    (lambda broker: broker.ask("revoke", **order(broker, STRANGER)), "order_signature"),
    (lambda broker: broker.ask("revoke", **order(broker, deployment="other")), "malformed"),
    (
        lambda broker: broker.ask("revoke", **order(broker, STRANGER, signer=STRANGER.signer)),
        "not_allowed",
    ),
    (lambda broker: broker.ask_standby("describe"), "unknown_op"),
    (
        lambda broker: broker.ask_standby("adopt", grant="", signature="", evidence={}),
        "unknown_challenge",
    ),
]


@pytest.mark.parametrize(("ask", "code"), ORDERS)
def test_orders(ask: Callable[[KeyBrokerInstance], dict[str, Any]], code: str) -> None:
    """A key broker refuses by its code what the deployment's owners or operators did not order."""
    broker = KeyBrokerInstance().lead()
    digest = broker.publish("first")["digest"]
    assert error_code(ask(broker)) == code
    assert [model.name for model in broker.directory.models] == ["first"]
    assert broker.directory.revoked == ()
    assert "error" not in broker.revoke(RevokedKind.MODEL, digest)


def _head(broker: KeyBrokerInstance) -> LogHead:
    tree = LogTree(first=1).append("00" * 32)
    return LogHead(log_id=broker.directory.log_id, number=1, digest="00" * 32, tree=tree)


def test_requirements_of_other_hardware() -> None:
    """An owner's requirements on workers that the deployment's hardware cannot meet are refused."""
    broker = KeyBrokerInstance().lead()
    owner, identity = keybroker_deployment().owner, broker.identity
    hardware = dataclasses.replace(identity.deployment, tee=Tee.SGX, insecure_simulated_root=None)
    package = UnverifiedPackage.from_bytes(pack_model("m", owner)).verify(owner.signer)
    for digits, fits in ((64, True), (96, False)):
        sealed = seal_order(
            package,
            package.unwrap(opening_key(owner)),
            identity.private_key.public_key,
            owner.signing,
            workers=Requirements(measurements=frozenset({"0" * digits})),
            log_id=broker.directory.log_id,
        )
        with nullcontext() if fits else pytest.raises(MalformedError, match="64 hex digits"):
            accept_publication(
                {"op": "publish", "sealed": b64encode(sealed).decode()},
                dataclasses.replace(identity, deployment=hardware),
                key_store.KeyStore(hardware, NOW_MS),
                LogWriter(identity.signing, WORLD, _head(broker)),
            )


def test_revoked_packages() -> None:
    """A package that was revoked is not published again, and only its owner revokes it."""
    broker = KeyBrokerInstance().lead()
    digest = broker.publish("m")["digest"]
    assert error_code(broker.revoke(RevokedKind.MODEL, digest, key=OTHER_OWNER)) == "not_allowed"
    assert "error" not in broker.revoke(RevokedKind.MODEL, digest)
    assert error_code(broker.publish("m")) == "revoked"


def test_versions() -> None:
    """A version is one package for ever; another one needs another version."""
    broker = KeyBrokerInstance().lead()
    broker.publish("m")
    before = broker.directory
    pack_model.cache_clear()  # the same model packed again is another package
    assert error_code(broker.publish("m")) == "version_taken"
    assert broker.directory == before
    assert "error" not in broker.publish("m", version="2")


def test_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key broker holds a bounded number of models and revocations, and reads bounded requests."""
    broker = KeyBrokerInstance().lead()
    monkeypatch.setattr(key_store, "MAX_MODELS", 1)
    monkeypatch.setattr(key_store, "MAX_REVOKED_WORKERS", 0)
    digest = broker.publish("first")["digest"]
    for owner in (keybroker_deployment().owner, OTHER_OWNER):
        assert error_code(broker.publish("second", owner=owner)) == "full"
    # Names of revoked models stay their owners', so they count as well.
    monkeypatch.setattr(key_store, "MAX_NAMES", 2)
    broker.revoke_model(digest)
    assert error_code(broker.publish("second")) == "full"
    assert "error" not in broker.publish("first", version="2")
    worker = make_identity(Role.WORKER)
    broker.grant(worker)
    assert error_code(broker.revoke(RevokedKind.WORKER, worker.instance)) == "full"
    long = b'{"op":"describe"' + b" " * MAX_CONTROL_BYTES + b"}"
    assert b"too_large" in answer_control_request(long, lambda _value: {})


def refuse_state(broker: KeyBrokerInstance, state: bytes) -> None:
    """Have an instance refuse to lead with a state."""
    with pytest.raises(FatalError) as caught:
        broker.lead(state)
    assert caught.value.code is Fatal.STATE


def test_states() -> None:
    """An instance goes on only with the newest state that its key knows, of the key's own log."""
    first = KeyBrokerInstance().lead()
    newest = first.states[-1]
    assert first.leading is not None
    good = first.leading.state_key
    refuse_state(KeyBrokerInstance(), newest)
    refuse_state(KeyBrokerInstance(keys=first.keys), newest[:20])
    for change in ({"log_id": "00" * 32}, {"number": good.number + 1}):
        key = dataclasses.replace(good, **change)
        wrapped = key.wrap(first.identity.platform_key, WORLD)
        refuse_state(KeyBrokerInstance(keys=[wrapped], records=first.records), newest)
    wrapped = good.wrap(first.identity.platform_key, WORLD)
    KeyBrokerInstance(keys=[wrapped], records=first.records).lead(newest)


def test_malformed_states() -> None:
    """What a key seals, and is no state or state key, is one error with the rest."""
    broker = KeyBrokerInstance().lead()
    assert broker.leading is not None
    key, digest = broker.leading.state_key, keybroker_deployment().deployment.digest
    opened = State.open(broker.states[-1], key.key, digest, WORLD)
    bent = dataclasses.replace(opened, directory_version=-1).seal(key.key, digest, WORLD)
    with pytest.raises(OpenError):
        State.open(bent, key.key, digest, WORLD)
    wrapped = dataclasses.replace(key, key=key.key[:-1]).wrap(bytes(32), WORLD)
    with pytest.raises(OpenError):
        StateKey.unwrap(wrapped, bytes(32), WORLD)


def test_states_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state is of this deployment, and in this format, though its key would open another."""
    broker = KeyBrokerInstance().lead()
    assert broker.leading is not None
    key, digest = broker.leading.state_key, keybroker_deployment().deployment.digest
    opened = State.open(broker.states[-1], key.key, digest, WORLD)
    blobs = [opened.seal(key.key, "00" * 32, WORLD)]
    with monkeypatch.context() as old:
        old.setattr(state, "MAGIC", b"SFK0")
        blobs.append(opened.seal(key.key, digest, WORLD))
        old.setattr(state, "STATE_KEY_MAGIC", b"SFW0")
        wrapped = key.wrap(bytes(32), WORLD)
    for blob in blobs:
        with pytest.raises(OpenError):
            State.open(blob, key.key, digest, WORLD)
    with pytest.raises(OpenError):
        StateKey.unwrap(wrapped, bytes(32), WORLD)


def test_state_keys_of_others() -> None:
    """A standby adopts the state key that an approved key broker sealed to it, for its nonce."""
    first, other = KeyBrokerInstance().lead(), KeyBrokerInstance(platform_key=b"\1" * 32)
    challenge = first.ask("challenge")
    shown = other.ask_standby("show", nonce=challenge["nonce"])
    answer = first.ask("join", challenge=challenge["challenge"], evidence=shown["evidence"])
    answer["evidence"] = make_identity(Role.WORKER).evidence().to_json()
    assert error_code(other.ask_standby("adopt", **answer)) == "not_opened"
    assert not other.standby.has_state_key


def test_the_last_second_of_collateral() -> None:
    """Evidence whose collateral reaches its greatest age now gets no grant that outlives it."""
    made = simulated_deployment(lease_host.NOW_MS)
    worker = dataclasses.replace(made.deployment.worker, max_collateral_age_s=DAY_S)
    made = dataclasses.replace(made, deployment=dataclasses.replace(made.deployment, worker=worker))
    host = LeaseHost(made)
    asking = lease_host.make_identity(made, Role.WORKER)
    policy = made.deployment.policy(Role.WORKER)
    end_ms = appraise(asking.evidence(), policy, lease_host.NOW_MS).valid_until_ms
    appraise(asking.evidence(), policy, end_ms)
    for now_ms, word in ((end_ms - 1, "grant"), (end_ms, "the collateral is out of date")):
        host.broker.advance(now_ms)
        challenge = json.loads(host.broker.answer(b'{"op":"challenge"}'))
        evidence = asking.evidence(challenge["nonce"]).to_json()
        request = {"op": "enroll", "challenge": challenge["challenge"], "evidence": evidence}
        assert word in host.broker.answer(json.dumps(request).encode()).decode()


@pytest.fixture
def host() -> LeaseHost:
    """A host between a key broker and a worker."""
    return LeaseHost(simulated_deployment(lease_host.NOW_MS))


def enrollment(host: LeaseHost, role: Role = Role.WORKER) -> Enrollment:
    """A process of the deployment that asks the host for a grant."""
    return Enrollment(lease_host.make_identity(host.made, role), host.messages)


def test_other_key_brokers(host: LeaseHost) -> None:
    """A worker takes a key broker by its evidence only, and one log for as long as it runs."""
    worker = enrollment(host)
    keybroker = worker.verify_key_broker(lease_host.NOW_MS)
    worker.enroll(keybroker)
    host.replace_broker(host.made)
    with pytest.raises(OpenError):
        worker.enroll(keybroker)
    with pytest.raises(FatalError) as caught:
        worker.enroll(worker.verify_key_broker(lease_host.NOW_MS))
    assert caught.value.code is Fatal.KEY_BROKER_ROLLED_BACK
    false = lease_host.make_identity(host.made, Role.WORKER).evidence().to_json()
    host.damage = lambda value: value.update(evidence=false)
    with pytest.raises(FatalError) as caught:
        worker.verify_key_broker(lease_host.NOW_MS)
    assert caught.value.code is Fatal.KEY_BROKER_UNTRUSTED


def test_refused_workers(host: LeaseHost) -> None:
    """A worker that is not approved ends; one that cannot ask now asks again."""
    false = enrollment(host, Role.KEY_BROKER)
    keybroker = false.verify_key_broker(lease_host.NOW_MS)
    with pytest.raises(FatalError) as caught:
        false.enroll(keybroker)
    assert caught.value.code is Fatal.NOT_APPROVED
    host.damage = lambda value: value.update(error={"code": "full", "detail": ""})
    with pytest.raises(UnavailableError, match="refused the request"):
        enrollment(host).verify_key_broker(lease_host.NOW_MS)


class LyingHost(RecordedPort):
    """A host that answers each question with frames made beforehand; None closes the pipe."""

    def __init__(self, *answers: tuple[FrameKind, bytes] | None) -> None:
        super().__init__()
        self.answers = answers
        self.messages = HostRequests(self.port)

    def send(self, kind: FrameKind, payload: bytes) -> None:
        """Answer a question."""
        super().send(kind, payload)
        for answer in self.answers:
            if answer is None:
                self.messages.close()
            else:
                self.messages.deliver_answer(answer[0], memoryview(answer[1]))


def piece(offset: int, total: int, content: bytes, digest: str = DIGEST) -> tuple[FrameKind, bytes]:
    """A piece of a package."""
    return FrameKind.PACKAGE, encode_chunk(bytes.fromhex(digest), offset, total, content)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that give up soon."""
    monkeypatch.setattr(host_requests, "ANSWER_TIMEOUT_S", 0.001)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([piece(1, 5, b"ab")], "out of place"),
        ([piece(0, 2, b"ab", digest="cd" * 32)], "out of place"),
        ([piece(0, 2**40, b"ab")], "over the limit"),
        ([piece(0, 5, b"")], "an empty piece"),
    ],
)
def test_pieces_of_packages(answers: list[tuple[FrameKind, bytes]], error: str) -> None:
    """A host cannot leave out or repeat pieces, nor announce too much."""
    assert LyingHost(piece(0, 2, b"ab")).messages.fetch_package(DIGEST) == b"ab"
    with pytest.raises(MalformedError, match=error):
        LyingHost(*answers).messages.fetch_package(DIGEST)


@pytest.mark.usefixtures("impatient")
def test_answers_of_the_key_broker() -> None:
    """An answer is a frame of its kind, in time; an empty one, and a closed pipe, are errors."""
    with pytest.raises(UnavailableError, match="could not reach"):
        LyingHost((FrameKind.CONTROL, b"")).messages.ask_key_broker({})
    with pytest.raises(UnavailableError, match="does not answer"):
        LyingHost(piece(0, 1, b"x")).messages.ask_key_broker({})
    with pytest.raises(ClosedError):
        LyingHost(None).messages.ask_key_broker({})
    late = LyingHost((FrameKind.CONTROL, b'{"new":1}'))
    late.messages.deliver_answer(FrameKind.CONTROL, memoryview(b'{"old":1}'))
    assert late.messages.ask_key_broker({}) == {"new": 1}
    late.messages.close()
    for ask in (late.messages.fetch_package, lambda _digest: late.messages.ask_key_broker({})):
        with pytest.raises(ClosedError):
            ask(DIGEST)
    assert len(late.frames) == 1
    with pytest.raises(UnavailableError, match="does not answer"):
        LyingHost().messages.ask_key_broker({})
