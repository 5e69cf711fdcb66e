"""Requests to the key broker, its directory and its log, by way of a gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cluster.gateway import KEYS, GatewayProcess, ScriptedEngine, await_answer

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    import httpx

JSON = {"content-type": "application/json"}


def control(gateway: GatewayProcess, text: bytes = b'{"op":"describe"}') -> httpx.Response:
    """Ask the key broker."""
    return gateway.http.post("/v1/control", content=text, headers=JSON)


def test_the_key_broker_answers(
    gateway: GatewayProcess, engine: ScriptedEngine, pool: ThreadPoolExecutor
) -> None:
    """What it is asked and what it says pass through unchanged."""
    answer = pool.submit(control, gateway, b'{"op": "x",  "n": 1}')
    delivery = engine.take(KEYS.control)
    assert delivery.envelope == b'{"op": "x",  "n": 1}'
    engine.answer(delivery, b'{"error": {"code": "no"}}', KEYS.control)
    assert answer.result().status_code == 200
    assert answer.result().content == b'{"error": {"code": "no"}}'


def test_the_key_broker_is_silent(gateway: GatewayProcess, engine: ScriptedEngine) -> None:
    """No answer in time is 504 that names the process to look at."""
    answer = control(gateway)
    assert answer.status_code == 504
    assert "key broker host" in answer.json()["error"]


def test_the_key_broker_is_busy(
    gateway: GatewayProcess, engine: ScriptedEngine, pool: ThreadPoolExecutor
) -> None:
    """Requests to it are bounded by themselves, not by those to workers."""
    waiting = [pool.submit(control, gateway) for _ in range(2)]
    taken = [engine.take(KEYS.control) for _ in waiting]
    busy = control(gateway)
    assert busy.status_code == 429
    assert int(busy.headers["retry-after"]) >= 1
    for delivery in taken:
        engine.answer(delivery, b"{}", KEYS.control)


@pytest.mark.parametrize(
    "text", [b"", b"[", b"[]", b"7", b'{"a":1,"a":2}', b'{"a":NaN}', b"\xff", b"[" * 100_000]
)
def test_control_requests_that_are_none(gateway: GatewayProcess, text: bytes) -> None:
    """What is no JSON object never comes to the key broker."""
    answer = control(gateway, text)
    assert answer.status_code == 400
    assert "send one JSON object" in answer.json()["error"]


def test_control_requests_of_other_types(gateway: GatewayProcess) -> None:
    """A form or a text is told what to send, before it is read."""
    answer = gateway.http.post("/v1/control", data={"op": "describe"})
    assert answer.status_code == 415
    assert "application/json" in answer.json()["error"]


def test_control_requests_too_large(gateway: GatewayProcess) -> None:
    """A control request is at most a mebibyte."""
    answer = control(gateway, b'{"a": "' + b"x" * 2**20 + b'"}')
    assert answer.status_code == 413
    assert str(2**20) in answer.json()["error"]


DIRECTORY = b'{"evidence": {"tee": "sgx"}, "payload": 1}'


def test_directory(fresh: GatewayProcess, raw: Any) -> None:
    """503 before there is one; then its bytes, with a tag that saves sending them again."""

    def directory(**headers: str) -> httpx.Response:
        return fresh.http.get("/v1/directory", headers=headers)

    none = directory()
    assert (none.status_code, none.headers["retry-after"]) == (503, "1")
    assert "key broker" in none.json()["error"]
    raw.set(KEYS.directory, DIRECTORY)
    found = await_answer(directory, lambda answer: answer.status_code == 200)
    assert found.content == DIRECTORY
    assert "sealflow-simulated" not in found.headers
    tag = found.headers["etag"]
    for known in (tag, f'"x", {tag}', "*"):
        same = directory(**{"if-none-match": known})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert directory(**{"if-none-match": '"other"'}).status_code == 200
    raw.set(KEYS.directory, b'{"evidence": {"tee": "simulated"}}')
    newer = await_answer(directory, lambda answer: answer.headers["etag"] != tag)
    assert newer.headers["sealflow-simulated"] == "true"
    assert fresh.http.get("/nothing").headers["sealflow-simulated"] == "true"


def test_log(gateway: GatewayProcess, raw: Any) -> None:
    """Records from a number on, one a line, at most 500."""
    for number in range(1, 503):
        raw.xadd(KEYS.log, {"e": b"record %d" % number}, id=f"{number}-1")
    first = gateway.http.get("/v1/log/1")
    assert first.headers["content-type"] == "application/jsonl"
    assert first.content.splitlines() == [b"record %d" % number for number in range(1, 501)]
    assert gateway.http.get("/v1/log/501").content == b"record 501\nrecord 502\n"
    assert gateway.http.get("/v1/log/503").content == b""


@pytest.mark.parametrize("number", ["", "-1", "x", "1.0", "9" * 16, "1 2", "%00"])
def test_numbers_of_no_record(gateway: GatewayProcess, number: str) -> None:
    """What is no number is told how to write one."""
    answer = gateway.http.get(f"/v1/log/{number}")
    assert answer.status_code == 400
    assert "/v1/log/0" in answer.json()["error"]
