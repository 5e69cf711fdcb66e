"""A gateway's process from its start to its end: what stops it, what it outlives, how it drains."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from sealflow.errors import RefusalCode
from tests.support.cluster.gateway import (
    GatewayProcess,
    ScriptedEngine,
    open_answer,
    read_refusal,
    seal_call,
    start_gateway,
)
from tests.support.queue.server import QueueServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path

GOOD = {"deployment": "test", "broker_url": "unix:///nowhere.sock", "port": 0}


@pytest.fixture
def own_queue() -> Iterator[QueueServer]:
    """A queue that a test may kill."""
    running = QueueServer()
    yield running
    running.remove()


def complaint(folder: Path, settings: dict[str, Any]) -> str:
    """Start a gateway that cannot work; gives what it says, which is one line."""
    log = folder / "log"
    process = start_gateway(folder / "gateway.toml", log, settings)
    assert process.wait(60) == 1
    text = log.read_text()
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    return text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"deployment": "a b"}, "deployment: 'a b' is not a name"),
        ({"deploymnet": "x"}, "deploymnet"),
        ({"broker_url": "http://x"}, "broker URL: write it as"),
        ({"max_body_bytes": 0}, "max_body_bytes: must be greater than 0"),
        ({"drain_s": -1}, "drain_s: must be greater than 0"),
        ({"min_replicas": -1}, "min_replicas"),
        ({"port": "http"}, "port"),
        ({"tls_certificate": "x.pem"}, "tls_certificate and tls_key belong together"),
        ({"tls_certificate": "absent.pem", "tls_key": "absent.pem"}, "absent.pem"),
        ({"host": "192.0.2.1"}, "cannot listen on 192.0.2.1:0"),
        ({"packages_dir": "/proc/none"}, "packages_dir /proc/none"),
    ],
)
def test_settings_that_cannot_work(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    """A setting that cannot work ends the process at once, with one line that names it."""
    assert says in complaint(tmp_path, {**GOOD, **changes})


def test_port_that_is_taken(tmp_path: Path) -> None:
    """A port that somebody has is said, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = complaint(tmp_path, {**GOOD, "port": port})
    assert f"cannot listen on 127.0.0.1:{port}" in said
    assert "another --port" in said


@pytest.mark.parametrize("program", ["gateway", "engine", "keybroker_host"])
@pytest.mark.parametrize("arguments", [(), ("a.toml", "b.toml")])
def test_no_settings(program: str, arguments: tuple[str, ...]) -> None:
    """A process that is not told which settings to take says how to start it."""
    module = f"sealflow.host.{program}"
    done = subprocess.run(
        (sys.executable, "-m", module, *arguments), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == f"error: give exactly one settings file: python -m {module} CONFIG.toml\n"


def test_absent_settings(tmp_path: Path) -> None:
    """A file that is not there is named."""
    path = tmp_path / "absent.toml"
    done = subprocess.run(
        (sys.executable, "-m", "sealflow.host.gateway", str(path)),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == f"error: {path}: No such file or directory\n"


def test_broker_away_and_back(own_queue: QueueServer) -> None:
    """Without its broker a gateway says so, in bounded time, and serves again once it is back."""
    with GatewayProcess(own_queue) as gateway:
        assert gateway.http.get("/v1/log/0").status_code == 200
        own_queue.kill()
        response = gateway.post(seal_call().envelope)
        assert (response.status_code, read_refusal(response)) == (503, RefusalCode.UNAVAILABLE)
        assert int(response.headers["retry-after"]) >= 1
        for path in ("/v1/log/0", "/v1/status", "/v2/health/ready", f"/v1/envelopes/{'ab' * 16}"):
            answer = gateway.http.get(path)
            assert answer.status_code == 503, path
            assert "the broker does not answer" in answer.json()["error"]
            assert "retry-after" in answer.headers
        asked = gateway.http.post("/v1/control", json={})
        assert asked.status_code == 503
        assert gateway.http.get("/v2/health/live").status_code == 200
        own_queue.start()
        engine = ScriptedEngine(own_queue)
        later = gateway.post(seal_call(timeout_s=5).envelope, prefer="respond-async")
        assert later.status_code == 202
        engine.close()


def test_directory_without_the_broker(own_queue: QueueServer) -> None:
    """The last directory goes on being served: clients can tell by its signature how old it is."""
    engine = ScriptedEngine(own_queue)
    engine.streams.set("{sealflow:test}:directory", b"{}")
    engine.close()
    with GatewayProcess(own_queue) as gateway:
        assert gateway.http.get("/v1/directory").content == b"{}"
        own_queue.kill()
        time.sleep(1.1)  # A directory is read anew after a second.
        assert gateway.http.get("/v1/directory").content == b"{}"


def test_full_memory(pool: ThreadPoolExecutor) -> None:
    """A broker whose memory is full is a full queue, for both kinds of requests."""
    small = QueueServer(max_memory_bytes=2**22)
    try:
        with GatewayProcess(small) as gateway:
            codes = []
            for _ in range(12):
                response = gateway.post(seal_call(size=2**20).envelope, prefer="respond-async")
                if response.status_code != 202:
                    codes.append((response.status_code, read_refusal(response)))
            assert set(codes) == {(429, RefusalCode.OVERLOADED)}
            waited = gateway.post(seal_call(size=2**20).envelope)
            assert (waited.status_code, read_refusal(waited)) == (429, RefusalCode.OVERLOADED)
            assert int(waited.headers["retry-after"]) == 5
    finally:
        small.remove()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_drains(
    queue: QueueServer,
    gateway: GatewayProcess,
    engine: ScriptedEngine,
    pool: ThreadPoolExecutor,
    number: int,
) -> None:
    """Who waits when the signal comes is answered; newcomers find nobody; nothing is left."""
    others, gateway = gateway, GatewayProcess(queue)
    asked = seal_call()
    answer = pool.submit(gateway.post, asked.envelope)
    delivery = engine.take()
    os.kill(gateway.process.pid, number)
    until = time.monotonic() + 20
    with pytest.raises(httpx.TransportError):
        while time.monotonic() < until:
            httpx.get(f"{gateway.url}/v2/health/live")
    engine.answer(delivery, engine.sealed(delivery.envelope))
    assert open_answer(asked, answer.result()) == b"the answer"
    assert gateway.stop() == 0
    assert engine.streams.depth(delivery.reply_to).waiting == 0
    assert gateway.url not in others.http.get("/v1/status").text


def test_drain_is_bounded(
    queue: QueueServer, engine: ScriptedEngine, pool: ThreadPoolExecutor
) -> None:
    """Who is still not answered in the end is told to try again."""
    gateway = GatewayProcess(queue, drain_s=0.5)
    answer = pool.submit(gateway.post, seal_call().envelope)
    engine.take()
    assert gateway.stop() == 0
    assert (answer.result().status_code, read_refusal(answer.result())) == (
        503,
        RefusalCode.UNAVAILABLE,
    )
    assert answer.result().headers["connection"] == "close"


def test_ends_without_the_broker(own_queue: QueueServer) -> None:
    """SIGTERM ends a gateway whose broker is away, too."""
    gateway = GatewayProcess(own_queue, drain_s=1)
    own_queue.kill()
    assert gateway.stop() == 0


def test_connections_are_bounded(own_queue: QueueServer) -> None:
    """More connections than configured are answered with 503 at once; a free place is used."""
    with GatewayProcess(own_queue, max_connections=3) as gateway:
        held = [gateway.raw() for _ in range(3)]
        full = httpx.get(f"{gateway.url}/v2/health/live")
        assert full.status_code == 503
        assert full.headers["connection"] == "close"
        for each in held:
            each.close()
        until = time.monotonic() + 20
        while httpx.get(f"{gateway.url}/v2/health/live").status_code != 200:
            assert time.monotonic() < until


def test_log_of_requests(own_queue: QueueServer) -> None:
    """With `log_requests` each request is one line, with neither its path's nor its body's text."""
    with GatewayProcess(own_queue, log_requests=True) as gateway:
        gateway.http.get("/secret-path?token=secret-token")
        gateway.post(b"secret-body")
    lines = [line for line in gateway.log.read_text().splitlines() if '"request"' in line]
    assert len(lines) == 2
    assert '"status": 404' in lines[0]
    assert '"route": "/v1/envelopes"' in lines[1]
    assert "secret" not in "".join(lines)
