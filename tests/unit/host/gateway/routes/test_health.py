"""What a gateway says of the cluster: alive, ready, status, figures."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cluster.gateway import KEYS, GatewayProcess, ScriptedEngine, await_answer

if TYPE_CHECKING:
    import httpx

    from tests.support.queue.server import QueueServer

DIRECTORY = b'{"evidence": {"tee": "sgx"}, "payload": 1}'


def say(raw: Any, component: str, instance: str = "one", **facts: object) -> None:
    """Publish the status of a process."""
    text = json.dumps({"component": component, "instance": instance, **facts})
    raw.set(KEYS.status(component, instance), text, px=60_000)


def seen(gateway: GatewayProcess, word: str) -> httpx.Response:
    """Wait until the status has a word."""
    return await_answer(lambda: gateway.http.get("/v1/status"), lambda answer: word in answer.text)


def test_alive(gateway: GatewayProcess) -> None:
    """It lives, whatever else does not."""
    assert gateway.http.get("/v2/health/live").json() == {"live": True}
    head = gateway.http.head("/v2/health/live")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "13")


def test_ready_and_not(fresh: GatewayProcess, raw: Any) -> None:
    """Ready is who has a directory and a worker; others say what is missing."""

    def ready() -> httpx.Response:
        return fresh.http.get("/v2/health/ready")

    nothing = ready()
    assert nothing.status_code == 503
    assert int(nothing.headers["retry-after"]) >= 1
    assert "no directory is published" in nothing.json()["error"]
    assert "no worker is ready" in nothing.json()["error"]
    raw.set(KEYS.directory, DIRECTORY)
    await_answer(ready, lambda answer: "directory" not in answer.json()["error"])
    for number, workers in enumerate(([], [{"ready": False}], [{"ready": "yes"}], {"x": 1}, [7])):
        say(raw, "engine", str(number), workers=workers)
    say(raw, "other", "last", workers=[{"ready": True}])
    seen(fresh, '"last"')
    assert ready().status_code == 503
    say(raw, "engine", workers=[{"ready": False}, {"ready": True}])
    assert await_answer(ready, lambda answer: answer.status_code == 200).json() == {"ready": True}


def test_status(fresh: GatewayProcess, raw: Any, engine: ScriptedEngine) -> None:
    """All that processes say of themselves, sorted; what the queue holds; what is missing."""
    say(raw, "engine", workers=[{"ready": True}])
    say(raw, "control", pid=7)
    raw.set(KEYS.directory, b'{"evidence": {"tee": "simulated"}}')
    found = await_answer(
        lambda: fresh.http.get("/v1/status"),
        lambda answer: answer.json()["ready"] and fresh.url in answer.text,
    ).json()
    components = [each["component"] for each in found["components"]]
    assert components[:2] == ["control", "engine"]
    [own] = [each for each in found["components"] if each.get("url") == fresh.url]
    assert (own["component"], own["pid"]) == ("gateway", fresh.process.pid)
    assert found["queue"] == {"waiting": 0, "in_work": 0, "capacity": 4096}
    assert (found["deployment"], found["ready"], found["reasons"]) == ("test", True, [])


@pytest.fixture
def ready(fresh: GatewayProcess, raw: Any) -> GatewayProcess:
    """A gateway that has all that it needs."""
    raw.set(KEYS.directory, DIRECTORY)
    say(raw, "engine", workers=[{"ready": True}])
    await_answer(
        lambda: fresh.http.get("/v2/health/ready"), lambda answer: answer.status_code == 200
    )
    return fresh


@pytest.mark.parametrize("path", ["/v1/status", "/v2/health/ready"])
def test_a_broker_that_hangs(ready: GatewayProcess, queue: QueueServer, path: str) -> None:
    """A probe that waits for 5 s is told, the next ones at once; and so is that it is back."""
    queue.pause()
    try:
        told = await_answer(
            lambda: ready.http.get(path, timeout=5), lambda answer: answer.status_code == 503
        )
        assert "the broker does not answer within 4 s" in told.json()["error"]
        assert ready.http.get(path, timeout=1).status_code == 503
        assert ready.http.get("/v2/health/live", timeout=1).status_code == 200
    finally:
        queue.resume()
    await_answer(lambda: ready.http.get(path), lambda answer: answer.status_code == 200)


def test_a_broker_that_is_slow(ready: GatewayProcess, queue: QueueServer) -> None:
    """Answers that take their time are waited for: nobody is told that it is away."""
    answers = []
    ended = threading.Event()

    def limp() -> None:
        while not ended.is_set():
            queue.pause()
            ended.wait(0.4)
            queue.resume()
            ended.wait(0.02)

    limping = threading.Thread(target=limp)
    limping.start()
    try:
        until = time.monotonic() + 3
        while time.monotonic() < until:
            answers.append(ready.http.get("/v2/health/ready", timeout=5).status_code)
            ended.wait(0.1)
    finally:
        ended.set()
        limping.join()
    assert set(answers) == {200}


def test_nonsense_in_the_broker(fresh: GatewayProcess, raw: Any) -> None:
    """Statuses that are none do not hide the others, nor end a gateway."""
    nonsense = (b"", b"\xff\xfe", b"[]", b"7", b"{", b"[" * 100_000, b'{"component": [1]}')
    for number, text in enumerate(nonsense):
        raw.set(KEYS.status("engine", f"bad-{number}"), text)
    say(raw, "control", pid=7)
    assert seen(fresh, '"pid":7').status_code == 200
    assert fresh.http.get("/v2/health/ready").status_code == 503


def test_figures(fresh: GatewayProcess) -> None:
    """Requests are counted by method, route and status; strangers' paths make no new figures."""
    fresh.http.get("/v2/health/live")
    for path in ("/a", "/b", "/c/d"):
        assert fresh.http.get(path).status_code == 404
    fresh.http.request("PURGE", "/v2/health/live")
    text = fresh.http.get("/metrics").text
    live = 'requests_total{method="GET",route="/v2/health/live",status="200"} 1.0'
    assert live in text
    assert 'requests_total{method="any",route="none",status="404"} 3.0' in text
    assert 'requests_total{method="any",route="none",status="405"} 1.0' in text
    assert "/c/d" not in text
    assert "PURGE" not in text
