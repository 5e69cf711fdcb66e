"""`sealflow status`: a whole cluster in rows, and hosts that answer anything."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.network.web_server import WebServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.cluster.command_line import RunCommand
    from tests.support.cluster.gateway import GatewayProcess

UNKNOWN = "the format of its status is unknown"
GOOD: dict[str, Any] = {
    "deployment": "test",
    "ready": True,
    "reasons": [],
    "queue": {"waiting": 1, "in_work": 2, "capacity": 3},
    "components": [
        {
            "component": "engine",
            "pid": 7,
            "workers": [
                {
                    "pid": 8,
                    "ready": True,
                    "restarts": 4,
                    "cpu_s": 1.25,
                    "rss_bytes": 2**21,
                    "served": 99,
                    "in_flight": 5,
                    "models": [{"name": "m", "version": "1", "digest": "ab"}],
                }
            ],
        },
        {"component": "control", "keybroker": {"pid": 9, "ready": False}},
    ],
}


@pytest.fixture
def answering() -> Iterator[Callable[[int, bytes], str]]:
    """Make HTTP servers that answer a gateway's status with anything; gives their URLs."""
    servers: list[WebServer] = []

    def start(status: int, body: bytes) -> str:
        servers.append(WebServer({"/v1/status": (status, {}, body)}))
        return servers[-1].url

    yield start
    for server in servers:
        server.stop()


def test_status(run: RunCommand, reach: tuple[str, ...], gateway: GatewayProcess) -> None:
    """A table for people, with what is missing; one document for machines."""
    shown = run("status", *reach)
    assert "not ready: no worker is ready" in " ".join(shown.out.split())
    assert str(gateway.process.pid) in shown.out
    assert run("status", "--json", *reach).json["deployment"] == "test"


def test_status_of_a_whole_cluster(
    run: RunCommand, tmp_path: Path, answering: Callable[[int, bytes], str]
) -> None:
    """Every process has a row: what it is, how it does, what it serves."""
    url = answering(200, json.dumps(GOOD).encode())
    shown = run("status", "--url", url, "--policy", tmp_path / "none").out
    assert "test: ready   queue: 1 waiting, 2 in flight, capacity 3" in shown.replace("\n", " ")
    words = shown.split()
    for word in ("engine", "worker", "broker", "restarts", "99", "1.2", "2", "MiB", "m:1"):
        assert word in words, shown
    assert "starting" in words


def changed(**changes: Any) -> bytes:
    """A status with something else in it."""
    return json.dumps({**GOOD, **changes}).encode()


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (200, b"<html>hello</html>", "is not a gateway (HTTP 200)"),
        (404, b"", "is not a gateway (HTTP 404)"),
        (200, b"[" * 200_000, "is not a gateway (HTTP 200)"),
        (
            503,
            b'{"ready":false,"error":"the broker does not answer"}',
            "the broker does not answer",
        ),
        (200, b"[]", UNKNOWN),
        (200, b"{}", UNKNOWN),
        (200, changed(components=7), UNKNOWN),
        (200, changed(components=[7]), UNKNOWN),
        (
            200,
            changed(components=[{"component": "x", "workers": [1]}]),
            UNKNOWN,
        ),
        (
            200,
            changed(components=[{"component": "x", "workers": {"a": 1}}]),
            UNKNOWN,
        ),
        (
            200,
            changed(components=[{"component": "x", "cpu_s": "much"}]),
            UNKNOWN,
        ),
        (
            200,
            changed(components=[{"component": "x", "pid": "../../etc"}]),
            UNKNOWN,
        ),
        (
            200,
            changed(components=[{"component": "x", "workers": [{"models": [{"name": "m"}]}]}]),
            UNKNOWN,
        ),
        (
            200,
            changed(components=[{"component": "x", "keybroker": 1}]),
            UNKNOWN,
        ),
        (200, changed(queue=None), UNKNOWN),
        (200, changed(queue={"waiting": True}), UNKNOWN),
        (200, changed(reasons=[1]), UNKNOWN),
        (200, changed(deployment=None), UNKNOWN),
    ],
)
def test_status_of_what_is_none(
    run: RunCommand,
    tmp_path: Path,
    answering: Callable[[int, bytes], str],
    status: int,
    body: bytes,
    says: str,
) -> None:
    """Whatever a host answers, the command ends with error, hint and exit code 6."""
    done = run("status", "--url", answering(status, body), "--policy", tmp_path / "none")
    assert (done.code, done.out) == (6, "")
    assert re.fullmatch(r"error: .+\nhint: .+\n", done.err)
    assert says in done.err


def test_hostile_status(
    run: RunCommand, tmp_path: Path, answering: Callable[[int, bytes], str]
) -> None:
    """What a host says of itself cannot steer the terminal of who looks."""
    evil = "\x1b]0;owned\x07\x1b[2J"
    body = changed(deployment=evil, components=[{"component": evil, "instance": evil}])
    shown = run("status", "--url", answering(200, body), "--policy", tmp_path / "none").out
    assert "\x1b" not in shown
    refused = answering(503, json.dumps({"error": evil}).encode())
    assert "\x1b" not in run("status", "--url", refused, "--policy", tmp_path / "none").err
