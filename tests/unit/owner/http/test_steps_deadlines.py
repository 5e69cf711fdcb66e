"""A caller's time is for all that a client does in it, whatever a hostile gateway makes of it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sealflow.errors import DeadlineError, UnavailableError
from sealflow.owner import AsyncClient, Client
from sealflow.owner.http.gateway_api import fetch_records
from sealflow.owner.http.steps import HttpRequest, HttpResponse, Sleep, Steps, send, with_deadline
from sealflow.owner.http.transport import HttpTransport
from tests.support.cluster.published_service import PublishedService
from tests.support.network.certificate_authority import CertificateAuthority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(20)
ROW = np.zeros((1, 4), np.float32)


class Gateway:
    """Starts each answer well, and then drips for as long as somebody listens."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen, by TLS if told so."""
        ended = self._ended = threading.Event()

        class Dripping(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
                while not ended.wait(0.02):
                    self.wfile.write(b"{")

            def log_message(self, *arguments: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *arguments: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Dripping)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme, host = ("http", "127.0.0.1") if tls is None else ("https", "localhost")
        self.url = f"{scheme}://{host}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="module")
def policy() -> object:
    """The policy of a service that never answers."""
    return PublishedService.create().policy


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A gateway that drips."""
    with closing(Gateway()) as running:
        yield running


def _sync(url: str, policy: object, what: Callable[[Client], object]) -> None:
    with Client(url, policy=policy) as client:  # type: ignore[arg-type]
        what(client)


def test_verify_and_infer(gateway: Gateway, policy: object) -> None:
    """Both end, with an error that says how long they waited and for whom."""
    with pytest.raises(DeadlineError, match=f"no answer within 0.3 s: gateway {gateway.url}"):
        _sync(gateway.url, policy, lambda client: client.verify(timeout_s=0.3))
    with pytest.raises(UnavailableError, match=gateway.url):
        _sync(
            gateway.url,
            policy,
            lambda client: client.infer("m", tensors={"x": ROW}, timeout_s=0.3),
        )


def test_verify_and_infer_in_a_loop(gateway: Gateway, policy: object) -> None:
    """So they do with an event loop."""

    async def run() -> None:
        async with AsyncClient(gateway.url, policy=policy) as client:  # type: ignore[arg-type]
            with pytest.raises(DeadlineError, match=f"within 0.3 s: gateway {gateway.url}"):
                await client.verify(timeout_s=0.3)
            with pytest.raises(UnavailableError, match=gateway.url):
                await client.infer("m", tensors={"x": ROW}, timeout_s=0.3)

    asyncio.run(run())


def test_by_tls(tmp_path: Path) -> None:
    """What drips may be encrypted."""
    authority = CertificateAuthority(tmp_path)
    pair = authority.issue("gateway", host="localhost")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    asked = HttpRequest(method="GET", path="/", timeout_s=0.3)
    large = HttpRequest(method="GET", path="/", body=bytes(2**24), timeout_s=0.3)
    with (
        closing(Gateway(context)) as gateway,
        closing(HttpTransport(gateway.url, ca=authority.root, connections=1)) as transport,
    ):
        with pytest.raises(UnavailableError, match="timed out"):
            transport.run_steps(send(asked))
        with pytest.raises(UnavailableError, match=gateway.url):
            transport.run_steps(send(large))


def test_a_handshake_that_does_not_end() -> None:
    """A gateway that takes a connection and says nothing is given up in the request's own time."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        with (
            closing(HttpTransport(url, ca=None, connections=1)) as transport,
            pytest.raises(UnavailableError, match=url),
        ):
            transport.run_steps(send(HttpRequest(method="GET", path="/", timeout_s=0.3)))


def _driven(steps: Steps[object], answer: bytes, clock: list[float]) -> tuple[int, object]:
    """Answer every question with the same, one second later; gives how many, and the end."""
    asked = 0
    event = next(steps)
    try:
        while True:
            asked += isinstance(event, HttpRequest)
            clock[0] += event.seconds if isinstance(event, Sleep) else 1
            is_pause = isinstance(event, Sleep)
            event = steps.send(
                None if is_pause else HttpResponse(status=200, headers={}, body=answer)
            )
    except StopIteration as end:
        return asked, end.value


def test_answers_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer is quick and asks for another: all of them together have one deadline."""
    clock = [0.0]
    monkeypatch.setattr("sealflow.owner.http.steps.time.monotonic", lambda: clock[0])
    times: list[float] = []

    def endless() -> Steps[object]:
        while True:
            event = fetch_records(0)
            yield from event
            yield Sleep(3)
            times.append(clock[0])

    with pytest.raises(DeadlineError, match="no answer within 10 s"):
        _driven(with_deadline(10, endless()), b"record", clock)
    assert times == [4, 8, 10]


def test_what_is_left_of_the_time() -> None:
    """Each question gets what is left, and never more than it asked for itself."""

    def two() -> Steps[str]:
        yield from send(HttpRequest(method="GET", path="/a", timeout_s=5))
        yield from send(HttpRequest(method="GET", path="/b", timeout_s=500))
        return "done"

    steps = with_deadline(60, two())
    first = next(steps)
    second = steps.send(HttpResponse(status=200, headers={}, body=b""))
    assert isinstance(first, HttpRequest)
    assert isinstance(second, HttpRequest)
    assert first.timeout_s == 5
    assert 5 < second.timeout_s <= 60
    with pytest.raises(UnavailableError, match="away"):
        steps.throw(UnavailableError("away"))
