"""The lease: what a key broker grants is served, what it no longer grants is not."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from base64 import b64encode
from functools import cache
from typing import Any

import pytest

from sealflow.attest.evidence import Role
from sealflow.documents.directory import SignedDirectory
from sealflow.documents.revocation import RevokedKind
from sealflow.trusted.port import FatalError
from sealflow.trusted.worker.lease.enrollment import Enrollment, VerifiedKeyBroker
from sealflow.trusted.worker.lease.host_requests import HostRequests
from sealflow.wire.frame_payloads import Event, Fatal
from sealflow.wire.frames import FrameKind
from sealflow.wire.ids import ModelRef
from tests.support.attestation.deployments import SimulatedDeployment, simulated_deployment
from tests.support.trusted.lease_host import NOW_MS, LeaseHost, make_identity


@cache
def _made() -> SimulatedDeployment:
    return simulated_deployment(NOW_MS)


def _nothing() -> None:
    """Go on."""


def test_a_worker_serves_what_it_is_granted() -> None:
    """Keys at once, each model as soon as it is loaded; the host is told what is ready."""
    host = LeaseHost(_made())
    digest = host.pack("first")
    first, second = host.run()
    assert host.events == [Event.ENROLLED, Event.MODEL_LOADING, Event.MODEL_LOADED]
    assert host.ready == [[], ["first"]]
    assert (dict(first.models), set(second.models)) == ({}, {ModelRef(name="first", version="1")})
    directory = json.loads(host.document)["directory"]
    assert directory
    published = _directory_keys(host)
    for serving in (first, second):
        assert {key.private_key.public_key.key_id for key in serving.keys} == published
        assert serving.lease_ms == NOW_MS + 1000 * _made().deployment.lease_s
    assert second.models[ModelRef(name="first", version="1")].digest == digest
    (kind, payload) = next(frame for frame in reversed(host.frames) if frame[0] is FrameKind.READY)
    assert kind is FrameKind.READY
    ready = json.loads(payload)
    assert (ready["simulated"], ready["threads"]) == (True, 1)
    assert ready["models"] == [
        {"name": "first", "version": "1", "digest": digest, "runtime": "onnx", "max_batch": 8}
    ]


def _directory_keys(host: LeaseHost) -> set[str]:
    signed = SignedDirectory.from_bytes(host.document)
    public = host.broker_identity.signing.public_key().public_bytes_raw()
    directory = signed.verify_signature(public, _made().deployment.tee.domain)
    return {key.kid for key in directory.keys}


def test_a_new_publication_is_taken_up() -> None:
    """A newer directory makes the worker ask again; what it has already is not fetched again."""
    host = LeaseHost(_made())
    first = host.pack("first")

    def publish() -> None:
        host.pack("second")
        host.tell()

    servings = host.run(publish)
    assert host.ready[-1] == ["first", "second"]
    assert len(host.wanted) == 2
    assert host.wanted[0] == first
    assert {ref.name for ref in servings[-1].models} == {"first", "second"}


def test_an_old_directory_changes_nothing() -> None:
    """What is known already is no news, and the worker waits on until the lease is due."""
    host = LeaseHost(_made())
    host.pack("first")
    lease_ms = 1000 * _made().deployment.lease_s

    def tick() -> None:
        for eighth in range(9):
            host.clock.advance(NOW_MS + eighth * lease_ms // 8)
            host.tell()

    ticking = threading.Thread(target=tick)
    host.run(ticking.start)
    ticking.join(60)
    assert host.events.count(Event.ENROLLED) == 2
    assert len(host.wanted) == 1


def test_the_lease_is_renewed() -> None:
    """Time alone brings a new grant, with a later end and the models that are there already."""
    host = LeaseHost(_made())
    host.pack("first")
    lease_ms = 1000 * _made().deployment.lease_s

    def later() -> None:
        host.clock.advance(NOW_MS + lease_ms)
        host.broker.advance(NOW_MS + lease_ms)

    servings = host.run(later)
    assert servings[-1].lease_ms == servings[0].lease_ms + lease_ms
    assert set(servings[-1].models) == {ModelRef(name="first", version="1")}
    assert len(host.wanted) == 1


def test_a_missing_package_is_asked_for_again() -> None:
    """A host that has it a moment later serves it then."""
    host = LeaseHost(_made())
    digest = host.pack("first")
    package = host.packages.pop(digest)

    def bring() -> None:
        assert not host.complete
        host.packages[digest] = package
        assert host.keeping.models.load_missing()
        host.keeping.close()

    host.then.append(bring)
    host.keeping.keep_lease()
    events = [Event.ENROLLED, Event.PACKAGE_MISSING, Event.MODEL_LOADING, Event.MODEL_LOADED]
    assert host.events == events
    assert host.ready[-1] == ["first"]


def test_a_damaged_package_does_not_stop_the_others() -> None:
    """The host is told which it was, and serves it when it has the right one."""
    host = LeaseHost(_made())
    bad = host.pack("bad")
    host.pack("good")
    package = host.packages[bad]
    host.packages[bad] = package[:-1] + bytes([package[-1] ^ 1])

    def heal() -> None:
        host.packages[bad] = package
        host.keeping.serve(host.made.owner.signer)

    host.run(heal)
    damaged = [
        json.loads(payload)
        for kind, payload in host.frames
        if kind is FrameKind.EVENT and b"package_damaged" in payload
    ]
    assert damaged == [{"event": "package_damaged", "digest": bad}]
    assert host.events.count(Event.MODEL_LOADED) == 2
    assert sorted(host.ready[-1]) == ["bad", "good"]


def test_a_restarted_key_broker_goes_on() -> None:
    """It grants the same keys and models again: the worker loads nothing anew."""
    host = LeaseHost(_made())
    host.pack("first")

    def restart() -> None:
        host.restart_broker()
        host.tell()

    before, *_, after = host.run(restart)
    assert [key.private_key.seed for key in after.keys] == [
        key.private_key.seed for key in before.keys
    ]
    assert set(after.models) == {ModelRef(name="first", version="1")}
    assert len(host.wanted) == 1
    assert host.events.count(Event.ENROLLED) == 2


def test_a_key_broker_with_an_older_state_ends_the_worker() -> None:
    """Nor with another history: whoever started it can take nothing back."""
    for back in (lambda host: host.restart_broker(host.states[0]), _replace):
        host = LeaseHost(_made())
        host.pack("first")
        host.pack("second")

        def roll_back(back: Any = back, host: LeaseHost = host) -> None:
            back(host)
            host.tell()

        with pytest.raises(FatalError) as caught:
            host.run(roll_back)
        assert caught.value.code is Fatal.KEY_BROKER_ROLLED_BACK


def _replace(host: LeaseHost) -> None:
    host.replace_broker(_made())


def test_a_revoked_model_is_dropped() -> None:
    """What is no longer granted is no longer served."""
    host = LeaseHost(_made())
    digest = host.pack("first")

    def revoke() -> None:
        host.revoke(RevokedKind.MODEL, digest)
        host.tell()

    servings = host.run(revoke)
    assert servings[-1].models == {}
    dropped = [json.loads(payload) for kind, payload in host.frames if kind is FrameKind.EVENT]
    assert {"event": "model_dropped", "digest": digest} in dropped
    assert host.ready[-1] == []


def test_a_key_broker_that_is_away_is_asked_again() -> None:
    """It may start after its workers."""
    host = LeaseHost(_made())
    host.pack("first")
    host.away = 2
    host.run(_nothing, _nothing)
    assert host.events[:2] == [Event.KEY_BROKER_UNREACHABLE] * 2
    assert host.ready[-1] == ["first"]


def _swap_grant(value: dict[str, Any]) -> None:
    if "grant" in value:
        value["grant"] = b64encode(bytes(200)).decode()


def _no_grant(value: dict[str, Any]) -> None:
    value.pop("grant", None)


@pytest.mark.parametrize("damage", [_swap_grant, _no_grant])
def test_a_grant_of_nobody_is_not_taken(damage: Any) -> None:
    """What a host writes in the key broker's name is refused, and asked for again."""
    host = LeaseHost(_made(), damage=damage)
    host.pack("first")

    def repair() -> None:
        assert host.ready == []
        host.damage = None

    host.run(repair)
    assert host.events[0] is Event.ENROLLMENT_REFUSED
    assert host.ready[-1] == ["first"]


def test_errors_of_the_key_broker_are_for_a_while() -> None:
    """A challenge that it forgot, or an error that nobody here understands, is tried again."""
    newer = {"code": "policy", "detail": "", "moon": 1, "critical": ["moon"]}
    for error, event in (
        ({"code": "unknown_challenge", "detail": ""}, Event.KEY_BROKER_UNREACHABLE),
        ("text", Event.KEY_BROKER_UNREACHABLE),
        (newer, Event.ENROLLMENT_REFUSED),
    ):

        def fail(value: dict[str, Any], error: object = error) -> None:
            value.clear()
            value["error"] = error

        host = LeaseHost(_made(), damage=fail)
        host.run()
        assert host.events == [event]


def test_a_key_broker_of_another_platform_ends_the_worker() -> None:
    """Whoever cannot prove what the policy asks for is not asked for keys."""
    host = LeaseHost(_made())
    host.replace_broker(simulated_deployment(NOW_MS))
    with pytest.raises(FatalError) as caught:
        host.run()
    assert caught.value.code is Fatal.KEY_BROKER_UNTRUSTED
    assert host.ready == []


def test_evidence_that_does_not_parse_ends_the_worker() -> None:
    """A host cannot put words in the key broker's mouth."""

    def spoil(value: dict[str, Any]) -> None:
        value["evidence"] = {}

    with pytest.raises(FatalError) as caught:
        LeaseHost(_made(), damage=spoil).run()
    assert caught.value.code is Fatal.KEY_BROKER_UNTRUSTED


def test_a_worker_that_is_not_approved_ends() -> None:
    """Asking again with the same code would not help."""
    made = _made()
    other = dataclasses.replace(made.deployment.worker, measurements=frozenset({"0" * 64}))
    deployment = dataclasses.replace(made.deployment, worker=other)
    host = LeaseHost(dataclasses.replace(made, deployment=deployment))
    with pytest.raises(FatalError) as caught:
        host.run()
    assert caught.value.code is Fatal.NOT_APPROVED


def test_closing_ends_the_conversation() -> None:
    """A worker whose host is gone stops asking, also in the middle."""
    host = LeaseHost(_made())
    host.messages.close()
    host.keeping.keep_lease()
    assert host.events == []
    closed = LeaseHost(_made())
    closed.keeping.close()
    closed.keeping.keep_lease()
    assert closed.frames == []


def test_news_are_told_from_noise() -> None:
    """A directory is news if it is later, or of another key broker, or no directory at all."""
    host = LeaseHost(_made())
    worker = make_identity(_made(), Role.WORKER)
    enrollment = Enrollment(worker, HostRequests(host))  # type: ignore[arg-type]
    signing_key = host.broker_identity.signing.public_key().public_bytes_raw()
    keybroker = VerifiedKeyBroker(signing_key=signing_key, valid_until_ms=NOW_MS)
    version = 1
    assert not enrollment.is_newer(host.document, keybroker, version)
    assert enrollment.is_newer(host.document, keybroker, version - 1)
    assert enrollment.is_newer(b"noise", keybroker, version)
    host.restart_broker()
    assert enrollment.is_newer(host.document, keybroker, version)


def test_a_grant_that_comes_during_a_load_is_not_missed() -> None:
    """What is published while another model is loaded is loaded next."""
    host = LeaseHost(_made())
    first = host.pack("first")

    def publish() -> None:
        host.pack("second")
        host.tell()

    host.on_want[first] = publish
    host.then.extend((_nothing, _nothing))
    lease = threading.Thread(target=host.keeping.keep_lease)
    loading = threading.Thread(target=host.keeping.models.load_models)
    host.loads_itself = False
    lease.start()
    loading.start()
    until = time.monotonic() + 60
    while host.ready[-1:] != [["first", "second"]]:
        assert time.monotonic() < until
        time.sleep(0.01)
    host.keeping.close()
    lease.join(60)
    loading.join(60)
