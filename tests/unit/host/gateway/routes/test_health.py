"""What a gateway says of the cluster: alive, ready, status, figures, the directory, the log."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import valkey

from tests.support.cluster.gateway import KEYS, PlayedEngine, RunningGateway

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

    from tests.support.queue.server import Server

DIRECTORY = b'{"evidence": {"tee": "sgx"}, "payload": 1}'


@pytest.fixture
def raw(queue: Server) -> Iterator[Any]:
    """The broker as the other processes of the cluster write to it; empty in the end."""
    with valkey.Valkey.from_url(queue.url) as client:
        yield client
        client.flushall()


@pytest.fixture
def fresh(queue: Server, raw: Any) -> Iterator[RunningGateway]:
    """A gateway that has seen no directory yet."""
    with RunningGateway(queue) as running:
        yield running


def soon(
    ask: Callable[[], httpx.Response], good: Callable[[httpx.Response], bool]
) -> httpx.Response:
    """Ask until the answer is good: what is read of the broker may be a second old."""
    until = time.monotonic() + 20
    while not good(answer := ask()):
        assert time.monotonic() < until, answer.text
        time.sleep(0.05)
    return answer


def say(raw: Any, component: str, instance: str = "one", **facts: object) -> None:
    """Publish the status of a process."""
    text = json.dumps({"component": component, "instance": instance, **facts})
    raw.set(KEYS.status(component, instance), text, px=60_000)


def seen(gateway: RunningGateway, word: str) -> httpx.Response:
    """Wait until the status has a word."""
    return soon(lambda: gateway.http.get("/v1/status"), lambda answer: word in answer.text)


def test_alive(gateway: RunningGateway) -> None:
    """It lives, whatever else does not."""
    assert gateway.http.get("/v2/health/live").json() == {"live": True}
    head = gateway.http.head("/v2/health/live")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "13")


def test_ready_and_not(fresh: RunningGateway, raw: Any) -> None:
    """Ready is who has a directory and a worker; others say what is missing."""

    def ready() -> httpx.Response:
        return fresh.http.get("/v2/health/ready")

    nothing = ready()
    assert nothing.status_code == 503
    assert int(nothing.headers["retry-after"]) >= 1
    assert "no directory is published" in nothing.json()["error"]
    assert "no worker is ready" in nothing.json()["error"]
    raw.set(KEYS.directory, DIRECTORY)
    soon(ready, lambda answer: "directory" not in answer.json()["error"])
    for number, workers in enumerate(([], [{"ready": False}], [{"ready": "yes"}], {"x": 1}, [7])):
        say(raw, "engine", str(number), workers=workers)
    say(raw, "other", "last", workers=[{"ready": True}])
    seen(fresh, '"last"')
    assert ready().status_code == 503
    say(raw, "engine", workers=[{"ready": False}, {"ready": True}])
    assert soon(ready, lambda answer: answer.status_code == 200).json() == {"ready": True}


def test_status(fresh: RunningGateway, raw: Any, engine: PlayedEngine) -> None:
    """All that processes say of themselves, sorted; what the queue holds; what is missing."""
    say(raw, "engine", workers=[{"ready": True}])
    say(raw, "control", pid=7)
    raw.set(KEYS.directory, b'{"evidence": {"tee": "simulated"}}')
    found = soon(
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
def ready(fresh: RunningGateway, raw: Any) -> RunningGateway:
    """A gateway that has all that it needs."""
    raw.set(KEYS.directory, DIRECTORY)
    say(raw, "engine", workers=[{"ready": True}])
    soon(lambda: fresh.http.get("/v2/health/ready"), lambda answer: answer.status_code == 200)
    return fresh


@pytest.mark.parametrize("path", ["/v1/status", "/v2/health/ready"])
def test_a_broker_that_hangs(ready: RunningGateway, queue: Server, path: str) -> None:
    """A probe that waits for 5 s is told, the next ones at once; and so is that it is back."""
    queue.pause()
    try:
        told = soon(
            lambda: ready.http.get(path, timeout=5), lambda answer: answer.status_code == 503
        )
        assert "the broker does not answer within 4 s" in told.json()["error"]
        assert ready.http.get(path, timeout=1).status_code == 503
        assert ready.http.get("/v2/health/live", timeout=1).status_code == 200
    finally:
        queue.resume()
    soon(lambda: ready.http.get(path), lambda answer: answer.status_code == 200)


def test_a_broker_that_is_slow(ready: RunningGateway, queue: Server) -> None:
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


def test_nonsense_in_the_broker(fresh: RunningGateway, raw: Any) -> None:
    """Statuses that are none do not hide the others, nor end a gateway."""
    nonsense = (b"", b"\xff\xfe", b"[]", b"7", b"{", b"[" * 100_000, b'{"component": [1]}')
    for number, text in enumerate(nonsense):
        raw.set(KEYS.status("engine", f"bad-{number}"), text)
    say(raw, "control", pid=7)
    assert seen(fresh, '"pid":7').status_code == 200
    assert fresh.http.get("/v2/health/ready").status_code == 503


def test_directory(fresh: RunningGateway, raw: Any) -> None:
    """503 before there is one; then its bytes, with a tag that saves sending them again."""

    def directory(**headers: str) -> httpx.Response:
        return fresh.http.get("/v1/directory", headers=headers)

    none = directory()
    assert (none.status_code, none.headers["retry-after"]) == (503, "1")
    assert "key broker" in none.json()["error"]
    raw.set(KEYS.directory, DIRECTORY)
    found = soon(directory, lambda answer: answer.status_code == 200)
    assert found.content == DIRECTORY
    assert "sealflow-simulated" not in found.headers
    tag = found.headers["etag"]
    for known in (tag, f'"x", {tag}', "*"):
        same = directory(**{"if-none-match": known})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert directory(**{"if-none-match": '"other"'}).status_code == 200
    raw.set(KEYS.directory, b'{"evidence": {"tee": "simulated"}}')
    newer = soon(directory, lambda answer: answer.headers["etag"] != tag)
    assert newer.headers["sealflow-simulated"] == "true"
    assert fresh.http.get("/nothing").headers["sealflow-simulated"] == "true"


def test_log(gateway: RunningGateway, raw: Any) -> None:
    """Records from a number on, one a line, at most 500."""
    for number in range(1, 503):
        raw.xadd(KEYS.log, {"e": b"record %d" % number}, id=f"{number}-1")
    first = gateway.http.get("/v1/log/1")
    assert first.headers["content-type"] == "application/jsonl"
    assert first.content.splitlines() == [b"record %d" % number for number in range(1, 501)]
    assert gateway.http.get("/v1/log/501").content == b"record 501\nrecord 502\n"
    assert gateway.http.get("/v1/log/503").content == b""


@pytest.mark.parametrize("number", ["", "-1", "x", "1.0", "9" * 16, "1 2", "%00"])
def test_numbers_of_no_record(gateway: RunningGateway, number: str) -> None:
    """What is no number is told how to write one."""
    answer = gateway.http.get(f"/v1/log/{number}")
    assert answer.status_code == 400
    assert "/v1/log/0" in answer.json()["error"]


def test_figures(fresh: RunningGateway) -> None:
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


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/envelopes", "POST"),
        ("HEAD", "/v1/control", "POST"),
        ("POST", "/v1/directory", "GET, HEAD"),
        ("DELETE", "/v1/packages/x", "PUT"),
        ("PUT", f"/v1/envelopes/{'ab' * 16}", "GET, HEAD"),
    ],
)
def test_other_methods(gateway: RunningGateway, method: str, path: str, allowed: str) -> None:
    """A method that a path does not take is told which it takes."""
    answer = gateway.http.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/envelopes/a/b", "//v1/directory", "/V1/directory"]
)
def test_other_paths(gateway: RunningGateway, path: str) -> None:
    """A path where nothing is says where to look."""
    answer = gateway.http.get(path)
    assert answer.status_code == 404
    assert "docs/reference/gateway.md" in answer.json()["error"]
