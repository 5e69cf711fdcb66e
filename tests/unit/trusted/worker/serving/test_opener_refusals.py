"""What is refused in clear, in the order of exchange.md, 6.4, before a request opens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sealflow.errors import RefusalCode
from sealflow.seal.exchange import Session
from sealflow.seal.keys import Suite
from sealflow.trusted.worker.serving.arrivals import ClockTick, ServingUpdate
from sealflow.trusted.worker.serving.keyring import EpochPrivateKey
from sealflow.wire.envelope import Envelope, Kind, RefusalHeader, RequestHeader, encode_start
from sealflow.wire.ids import ModelRef, RequestId, new_request_id
from tests.support.trusted.jobs import seal_request
from tests.support.trusted.worker import (
    DEADLINE_MS,
    KEY,
    LEASE_MS,
    NOW_MS,
    OTHER_KEY,
    SESSION,
    Worker,
    floats,
    make_request,
    negation_model,
    open_sized_model,
    read_values,
    seal_call,
)

if TYPE_CHECKING:
    from sealflow.seal.keys import OpeningKey
    from sealflow.trusted.worker.models.loader import ServedModel


def _crafted(
    served: ServedModel,
    request_id: RequestId,
    *,
    key: OpeningKey = KEY,
    suite: int = Suite.SIMULATED_X25519,
    **header: Any,
) -> bytes:
    """A request by the format whose seal is nonsense."""
    settings: dict[str, Any] = {
        "model": served.ref,
        "model_digest": served.digest,
        "deadline_ms": DEADLINE_MS,
    }
    whole = RequestHeader(
        key_id=key.public_key.key_id,
        session_id=SESSION.session_id,
        request_id=request_id,
        **{**settings, **header},
    )
    body = bytes(200)
    start = encode_start(Kind.REQUEST, suite, whole.to_bytes(), SESSION.key_blob, len(body))
    return start + SESSION.key_blob + body


UNKNOWN = ModelRef(name="unknown", version="1")
FAILURES: list[tuple[RefusalCode, dict[str, Any]]] = [
    (RefusalCode.UNKNOWN_KEY, {"key": OTHER_KEY}),
    (RefusalCode.NOT_OPENED, {"suite": Suite.SIMULATED_XWING}),
    (RefusalCode.UNKNOWN_MODEL, {"model": UNKNOWN}),
    (RefusalCode.EXPIRED, {"deadline_ms": NOW_MS - 1}),
    (RefusalCode.REPLAYED, {}),
]


@pytest.mark.parametrize("first", range(len(FAILURES)))
def test_the_first_failure_is_the_one_answered(first: int) -> None:
    """What is wrong in every way from some check on is refused by that check."""
    model = negation_model()
    genuine = seal_call(model)
    wrong: dict[str, Any] = {}
    for _, change in FAILURES[first:]:
        wrong |= change
    # The id was seen before, and the body opens nowhere.
    bad = _crafted(model, genuine.request_id, **wrong)
    outside = Worker().serve(model).send(genuine.envelope, bad).finish()
    assert read_values(outside.response(0, genuine)) == [[-1, -2, -3, -4]]
    assert outside.refusal(1) is FAILURES[first][0]
    header = Envelope.from_bytes(outside.replies[1], max_body_bytes=0).header
    assert isinstance(header, RefusalHeader)
    assert header.request_id == genuine.request_id


@pytest.mark.parametrize(
    "change",
    [
        {"model": UNKNOWN},
        {"model": ModelRef(name="negation", version="2")},
        {"model_digest": "0" * 64},
    ],
)
def test_name_version_and_digest_must_all_fit(change: dict[str, Any]) -> None:
    """A model that was replaced under its name does not answer for the one before."""
    model = negation_model()
    bad = _crafted(model, new_request_id(), **change)
    outside = Worker().serve(model).send(bad).finish()
    assert outside.refusal(0) is RefusalCode.UNKNOWN_MODEL


@pytest.mark.parametrize("cut", [0, 3, 15, 16, 100, -1])
def test_what_is_no_envelope_is_malformed(cut: int) -> None:
    """Bytes that end early name no request, so the refusal names none."""
    model = negation_model()
    call = seal_call(model)
    outside = Worker().serve(model).send(call.envelope[:cut], call.envelope).finish()
    assert outside.refusal(0) is RefusalCode.MALFORMED
    header = Envelope.from_bytes(outside.replies[0], max_body_bytes=0).header
    assert isinstance(header, RefusalHeader)
    assert header.request_id is None
    assert read_values(outside.response(1, call)) == [[-1, -2, -3, -4]]


def test_a_reply_is_no_request() -> None:
    """What a worker wrote cannot be sent to a worker."""
    model = negation_model()
    call = seal_call(model)
    reply = Worker().serve(model).send(call.envelope).finish().replies[0]
    assert Worker().serve(model).send(reply).finish().refusal(0) is RefusalCode.MALFORMED


def test_large_requests_are_refused_by_their_prefix() -> None:
    """The limit is the worker's, and nothing is opened to find out."""
    model = negation_model()
    small, large = seal_call(model), seal_call(model, np.zeros((200, 4)))
    worker = Worker(max_body_bytes=2000).serve(model)
    outside = worker.send(small.envelope, large.envelope).finish()
    assert read_values(outside.response(0, small)) == [[-1, -2, -3, -4]]
    assert outside.refusal(1) is RefusalCode.TOO_LARGE


def test_every_changed_byte_is_refused() -> None:
    """No part of a sealed request can be changed on its way."""
    model = negation_model()
    call = seal_call(model)
    changed = []
    for at in range(len(call.envelope)):
        copy = bytearray(call.envelope)
        copy[at] ^= 1
        changed.append(bytes(copy))
    outside = Worker().serve(model).send(*changed, call.envelope).finish()
    codes = {outside.refusal(slot) for slot in range(len(changed))}
    assert RefusalCode.NOT_OPENED in codes
    # All of them changed the same genuine request, which is still to be answered.
    assert read_values(outside.response(len(changed), call)) == [[-1, -2, -3, -4]]


def test_a_session_sealed_to_another_key_does_not_open() -> None:
    """A blob moved to another key's name opens nothing."""
    model = negation_model()
    call = seal_request(
        Session.start(OTHER_KEY.public_key), model, make_request(floats([[1, 2, 3, 4]]))
    )
    other = OTHER_KEY.public_key.key_id.encode()
    moved = call.envelope.replace(other, KEY.public_key.key_id.encode())
    outside = Worker().serve(model).send(moved).finish()
    assert outside.refusal(0) is RefusalCode.NOT_OPENED


def test_content_that_is_nonsense_is_answered_sealed() -> None:
    """The host does not learn that a request had no content, and its id is used up."""
    model = negation_model()
    for part in (b"", b"\xff\0\0\0\2{}", b"\1\0\0\1\0{}", b"\3\0\0\0\2{}"):
        call = SESSION.seal_request(model.ref, model.digest, [part], deadline_ms=DEADLINE_MS)
        outside = Worker().serve(model).send(call.envelope, call.envelope).finish()
        assert outside.error(0, call)[0] == "invalid_input"
        assert outside.refusal(1) is RefusalCode.REPLAYED


def test_a_request_is_taken_once() -> None:
    """A copy is refused, in the same frame, a later one, and after a new grant."""
    model = negation_model()
    call = seal_call(model)
    worker = Worker().serve(model).send(call.envelope, call.envelope).send(call.envelope)
    outside = worker.serve(model).send(call.envelope).finish()
    assert read_values(outside.response(0, call)) == [[-1, -2, -3, -4]]
    assert {outside.refusal(slot) for slot in (1, 2, 3)} == {RefusalCode.REPLAYED}


def test_a_forged_request_uses_up_nothing() -> None:
    """Who copies an id without the secret cannot keep its owner out."""
    model = negation_model()
    call = seal_call(model)
    forged = _crafted(model, call.request_id)
    outside = Worker().serve(model).send(forged, call.envelope).finish()
    assert outside.refusal(0) is RefusalCode.NOT_OPENED
    assert read_values(outside.response(1, call)) == [[-1, -2, -3, -4]]


def test_a_full_memory_of_ids_refuses() -> None:
    """Rather than forget an id, new requests are turned away; those seen stay replays."""
    model = negation_model()
    calls = [seal_call(model) for _ in range(3)]
    worker = Worker(replay_capacity=2).serve(model)
    outside = worker.send(*(call.envelope for call in calls), calls[0].envelope).finish()
    assert read_values(outside.response(1, calls[1])) == [[-1, -2, -3, -4]]
    assert outside.refusal(2) is RefusalCode.OVERLOADED
    assert outside.refusal(3) is RefusalCode.REPLAYED


def test_deadlines_are_kept_to_the_millisecond() -> None:
    """A request may be taken at its deadline and not after."""
    model = negation_model()
    calls = [seal_call(model, deadline_ms=each) for each in (NOW_MS, NOW_MS - 1)]
    outside = Worker().serve(model).send(*(call.envelope for call in calls)).finish()
    assert read_values(outside.response(0, calls[0])) == [[-1, -2, -3, -4]]
    assert outside.refusal(1) is RefusalCode.EXPIRED


def test_without_keys_nothing_is_served() -> None:
    """Before the first grant, and after the lease, a client is told to come back."""
    model = negation_model()
    call = seal_call(model)
    assert Worker().send(call.envelope).finish().refusal(0) is RefusalCode.UNAVAILABLE
    worker = Worker().serve(model, lease_ms=NOW_MS)
    assert worker.send(call.envelope).finish().refusal(0) is RefusalCode.UNAVAILABLE


def test_keys_are_destroyed_in_time() -> None:
    """A request to a key that is over is refused as unknown while another key is held."""
    model = negation_model()
    call = seal_call(model)
    worker = Worker()
    keys = [
        EpochPrivateKey(private_key=KEY, destroy_ms=NOW_MS),
        EpochPrivateKey(private_key=OTHER_KEY, destroy_ms=LEASE_MS),
    ]
    worker.arrivals.put(ServingUpdate(keys=keys, lease_ms=LEASE_MS, models={model.ref: model}))
    assert worker.send(call.envelope).finish().refusal(0) is RefusalCode.UNKNOWN_KEY


def test_time_alone_ends_the_lease() -> None:
    """A tick after the lease is enough: no request need come to make the keys go."""
    model = negation_model()
    call = seal_call(model)
    worker = Worker().serve(model, lease_ms=NOW_MS + 1)
    worker.clock.advance(NOW_MS + 1)
    worker.arrivals.put(ClockTick())
    assert worker.send(call.envelope).finish().refusal(0) is RefusalCode.UNAVAILABLE


def test_what_is_no_longer_granted_is_no_longer_served() -> None:
    """A new grant without a model or key ends them."""
    model, other = negation_model(), open_sized_model("Abs")
    calls = [seal_call(model), seal_call(model), seal_call(other)]
    worker = Worker().serve(model, other).send(calls[0].envelope)
    worker.serve(other).send(calls[1].envelope)
    outside = worker.serve(other, keys=(OTHER_KEY,)).send(calls[2].envelope).finish()
    assert read_values(outside.response(0, calls[0])) == [[-1, -2, -3, -4]]
    assert outside.refusal(1) is RefusalCode.UNKNOWN_MODEL
    assert outside.refusal(2) is RefusalCode.UNKNOWN_KEY
