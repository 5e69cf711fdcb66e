"""The gateway's main route: sealed in, sealed out, a deadline, a bound, and codes for the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealflow.errors import RefusalCode
from sealflow.wire.envelope import MEDIA_TYPE, encode_refusal
from tests.support.cluster.gateway import (
    KEYS,
    GatewayProcess,
    ScriptedEngine,
    open_answer,
    read_refusal,
    seal_call,
)

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

STATUSES = {
    RefusalCode.MALFORMED: 400,
    RefusalCode.TOO_LARGE: 413,
    RefusalCode.UNKNOWN_KEY: 409,
    RefusalCode.UNKNOWN_MODEL: 404,
    RefusalCode.EXPIRED: 504,
    RefusalCode.DEADLINE_FAR: 400,
    RefusalCode.REPLAYED: 409,
    RefusalCode.NOT_OPENED: 422,
    RefusalCode.OVERLOADED: 429,
    RefusalCode.UNDELIVERABLE: 502,
    RefusalCode.UNAVAILABLE: 503,
}


def test_sealed_in_sealed_out(
    gateway: GatewayProcess, engine: ScriptedEngine, pool: ThreadPoolExecutor
) -> None:
    """The engine gets the envelope's very bytes, the client its reply's; nothing stays queued."""
    asked = seal_call(size=100_000)
    answer = pool.submit(gateway.post, asked.envelope)
    delivery = engine.take()
    assert delivery.envelope == asked.envelope
    engine.answer(delivery, engine.sealed(delivery.envelope, bytes(200_000)))
    assert answer.result().status_code == 200
    assert answer.result().headers["content-type"] == MEDIA_TYPE
    assert open_answer(asked, answer.result()) == bytes(200_000)
    assert engine.streams.depth(KEYS.requests).waiting == 0


def test_answers_find_their_clients(
    gateway: GatewayProcess, engine: ScriptedEngine, pool: ThreadPoolExecutor
) -> None:
    """Requests that are answered in another order than they came each get their own reply."""
    calls = [seal_call() for _ in range(3)]
    answers = [pool.submit(gateway.post, each.envelope) for each in calls]
    taken = [engine.take() for _ in calls]
    for delivery in reversed(taken):
        engine.answer(delivery, engine.sealed(delivery.envelope, delivery.correlation))
    for each, answer in zip(calls, answers, strict=True):
        assert open_answer(each, answer.result()) == each.request_id.encode()


@pytest.mark.parametrize("code", RefusalCode)
def test_refusals_of_workers(
    gateway: GatewayProcess, engine: ScriptedEngine, pool: ThreadPoolExecutor, code: RefusalCode
) -> None:
    """What a worker refuses comes as it is, under the status of its code."""
    asked = seal_call()
    answer = pool.submit(gateway.post, asked.envelope)
    delivery = engine.take()
    engine.answer(delivery, encode_refusal(code, asked.request_id))
    assert answer.result().status_code == STATUSES[code]
    assert read_refusal(answer.result()) is code
    assert ("retry-after" in answer.result().headers) is (STATUSES[code] in (429, 503))


@pytest.mark.parametrize(
    "reply", [b"", b"plain text", seal_call().envelope], ids=["empty", "text", "request"]
)
def test_replies_that_are_none(
    gateway: GatewayProcess, engine: ScriptedEngine, pool: ThreadPoolExecutor, reply: bytes
) -> None:
    """What an engine answers that is neither reply nor refusal goes out as a bad gateway's."""
    answer = pool.submit(gateway.post, seal_call().envelope)
    engine.answer(engine.take(), reply)
    assert answer.result().status_code == 502


def test_full_queue(
    gateway: GatewayProcess, engine: ScriptedEngine, pool: ThreadPoolExecutor
) -> None:
    """At its bound the queue takes no more: 429 with a time to wait, and room is used again."""
    held = [pool.submit(gateway.post, seal_call().envelope) for _ in range(3)]
    taken = [engine.take() for _ in held]
    full = gateway.post(seal_call().envelope)
    assert full.status_code == 429
    assert read_refusal(full) is RefusalCode.OVERLOADED
    assert int(full.headers["retry-after"]) >= 1
    for delivery in taken:
        engine.answer(delivery, engine.sealed(delivery.envelope))
    assert [each.result().status_code for each in held] == [200] * 3
    again = pool.submit(gateway.post, seal_call().envelope)
    engine.serve()
    assert again.result().status_code == 200


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?wait=0.05", {}),
        ("?wait=0.05", {"prefer": "wait=20"}),
        ("", {"prefer": 'handling=lenient, wait="0.05"; x=y'}),
        ("?other=1&wait=0.05", {}),
    ],
)
def test_patience(
    gateway: GatewayProcess, engine: ScriptedEngine, query: str, headers: dict[str, str]
) -> None:
    """A client that waits for a short time only is told then that it came to nothing."""
    response = gateway.post(seal_call().envelope, query, **headers)
    assert response.status_code == 504
    assert read_refusal(response) is RefusalCode.EXPIRED


def test_deadline_of_the_envelope(gateway: GatewayProcess, engine: ScriptedEngine) -> None:
    """Nobody waits past the envelope's own deadline, whatever the client asks for."""
    response = gateway.post(seal_call(timeout_s=0.3).envelope, "?wait=20")
    assert (response.status_code, read_refusal(response)) == (504, RefusalCode.EXPIRED)


def test_past_deadline(gateway: GatewayProcess, engine: ScriptedEngine) -> None:
    """What comes after its deadline is not queued at all."""
    response = gateway.post(seal_call(timeout_s=-1).envelope)
    assert (response.status_code, read_refusal(response)) == (504, RefusalCode.EXPIRED)
    assert engine.waiting() == 0


@pytest.mark.parametrize("wait", ["soon", "nan", "-1", "inf", "1e9", ""])
def test_waits_that_are_none(gateway: GatewayProcess, engine: ScriptedEngine, wait: str) -> None:
    """A wait that is no number of seconds is an error that names it, and queues nothing."""
    response = gateway.post(seal_call().envelope, f"?wait={wait}")
    assert response.status_code == 400
    assert f"wait: '{wait}'" in response.json()["error"]
    assert engine.waiting() == 0


def test_client_that_leaves(
    gateway: GatewayProcess, engine: ScriptedEngine, pool: ThreadPoolExecutor
) -> None:
    """Whoever hangs up is waited for no longer, and others are served."""
    envelope = seal_call().envelope
    with gateway.raw() as connection:
        head = f"POST /v1/envelopes HTTP/1.1\r\nhost: x\r\ncontent-type: {MEDIA_TYPE}\r\n"
        connection.sendall(f"{head}content-length: {len(envelope)}\r\n\r\n".encode() + envelope)
        abandoned = engine.take()
        assert gateway.figure("sealflow_gateway_waiting") == 1
    while gateway.figure("sealflow_gateway_waiting"):
        pass
    engine.answer(abandoned, engine.sealed(abandoned.envelope))
    asked = seal_call()
    answer = pool.submit(gateway.post, asked.envelope)
    engine.serve()
    assert open_answer(asked, answer.result()) == b"the answer"


@pytest.mark.parametrize(
    "media_type", ["application/json", "", "text/plain", MEDIA_TYPE.removesuffix("envelope")]
)
def test_other_media_types(
    gateway: GatewayProcess, engine: ScriptedEngine, media_type: str
) -> None:
    """Whoever sends plain requests is told what to send instead."""
    response = gateway.post(b"{}", **{"content-type": media_type})
    assert response.status_code == 415
    assert MEDIA_TYPE in response.json()["error"]


def test_media_type_as_clients_write_it(gateway: GatewayProcess, engine: ScriptedEngine) -> None:
    """Case and parameters of the media type do not matter."""
    given = {"content-type": f"{MEDIA_TYPE.upper()} ; v=1"}
    assert read_refusal(gateway.post(b"", **given)) is RefusalCode.MALFORMED


@pytest.mark.parametrize("cut", [0, 1, 15, 16, 40, -1])
def test_cut_envelopes(gateway: GatewayProcess, engine: ScriptedEngine, cut: int) -> None:
    """Half an envelope is refused as malformed and never queued."""
    response = gateway.post(seal_call().envelope[:cut])
    assert (response.status_code, read_refusal(response)) == (400, RefusalCode.MALFORMED)
    assert engine.waiting() == 0


def test_a_reply_is_no_request(gateway: GatewayProcess, engine: ScriptedEngine) -> None:
    """An envelope of another kind is malformed here."""
    response = gateway.post(encode_refusal(RefusalCode.EXPIRED, None))
    assert read_refusal(response) is RefusalCode.MALFORMED
