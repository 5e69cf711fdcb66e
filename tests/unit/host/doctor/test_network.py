"""What the doctor says about ports, the PCCS and clocks, over real sockets."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from sealflow.host.doctor import network
from sealflow.host.doctor.finding import Verdict
from tests.support.hosts.machine_files import write_machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOWHERE = "http://127.0.0.1:1"


@contextmanager
def serving(
    *, status: int = 200, ahead_s: float = 0, date: bool = True
) -> Iterator[tuple[str, list[str]]]:
    """Serve HTTP with a clock of its own; gives the address and the paths that were asked for."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response_only(status)
            if date:
                self.send_header("Date", formatdate(time.time() + ahead_s, usegmt=True))
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_ports() -> None:
    """A taken port fails, a free one passes."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (found,) = network.ports("127.0.0.1", [port])
        assert found.verdict is Verdict.FAIL
        assert "another port" in found.fix
    (found,) = network.ports("127.0.0.1", [port])
    assert found.verdict is Verdict.PASS
    assert list(network.ports("127.0.0.1", [])) == []


QCNL = {
    "old": "# comment\nPCCS_URL={}/sgx/certification/v4/\nUSE_SECURE_CERT=FALSE\n",
    "new": '{{ // comment\n"pccs_url": "{}/sgx/certification/v4/",\n"use_secure_cert": false }}\n',
}


@pytest.mark.parametrize("form", QCNL)
def test_pccs_of_the_machine(tmp_path: Path, form: str) -> None:
    """The PCCS that Intel's library is set to, in either form, is asked for its revocation list."""
    with serving() as (url, asked):
        here = write_machine(tmp_path, {network.QCNL: QCNL[form].format(url)})
        first, clock = network.pccs(here, None)
    assert (first.check, first.verdict) == ("pccs", Verdict.PASS)
    assert clock.verdict is Verdict.PASS
    assert asked == ["/sgx/certification/v4/rootcacrl"]


def test_pccs_that_was_named(tmp_path: Path) -> None:
    """An address on the command line goes before the machine's."""
    with serving() as (url, asked):
        here = write_machine(tmp_path, {network.QCNL: QCNL["old"].format(NOWHERE)})
        assert next(network.pccs(here, f"{url}/v4")).verdict is Verdict.PASS
    assert asked == ["/v4/rootcacrl"]


def test_no_pccs(tmp_path: Path) -> None:
    """No address, one that nobody listens at, one that is none and one that errs all fail."""
    here = write_machine(tmp_path, {})
    (found,) = network.pccs(here, None)
    assert "no PCCS is given" in found.detail
    for url in (NOWHERE, "ftp://127.0.0.1/", "localhost"):
        (found,) = network.pccs(here, url)
        assert found.verdict is Verdict.FAIL
        assert url in found.detail
    with serving(status=503, date=False) as (url, _):
        (found,) = network.pccs(here, url)
    assert found.verdict is Verdict.FAIL
    assert "HTTP 503" in found.detail


@pytest.mark.parametrize(
    ("ahead_s", "verdict", "detail"),
    [
        (0, Verdict.PASS, "agrees with the gateway"),
        (60, Verdict.WARN, "s behind the gateway"),
        (-60, Verdict.WARN, "s ahead of the gateway"),
        (3600, Verdict.FAIL, "s behind the gateway"),
    ],
)
def test_clock(ahead_s: float, verdict: Verdict, detail: str) -> None:
    """A clock that is minutes off warns, one that clients would refuse fails."""
    with serving(ahead_s=ahead_s) as (url, _):
        first, clock = network.clock(url)
    assert first.verdict is Verdict.PASS
    assert (clock.check, clock.verdict) == ("clock", verdict)
    assert detail in clock.detail


def test_no_gateway() -> None:
    """A gateway that is away is a warning; none is nothing."""
    (found,) = network.clock(NOWHERE)
    assert found.verdict is Verdict.WARN
    assert list(network.clock(None)) == []
