"""Both HTTP transports against servers that are quick in each read and write, and never done."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import UnavailableError
from sealflow.owner.http.async_transport import AsyncHttpTransport
from sealflow.owner.http.steps import HttpRequest, send
from tests.support.network.http_peers import ScriptedServer, get_request, send_in_threads

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.network.http_peers import Exchange, Script

DRIPPED = {
    "head": (b"HTTP/1.1 200 OK\r\nx: ", b"a"),
    "lines": (b"HTTP/1.1 200 OK\r\n", b"x: a\r\n"),
    "interim": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": (b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n", b"a"),
    "chunks": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
}


def dripping(start: bytes, drop: bytes) -> Script:
    """Answer drop by drop until the other side has gone."""

    def script(connection: socket.socket) -> None:
        with suppress(OSError):
            connection.sendall(start)
            connection.settimeout(0.02)
            while True:
                with suppress(TimeoutError):
                    if connection.recv(65536) == b"":
                        return
                connection.sendall(drop)

    return script


@pytest.mark.timeout(20)
@pytest.mark.parametrize("part", DRIPPED)
def test_an_answer_that_drips(
    exchange: Exchange, serve: Callable[..., ScriptedServer], part: str
) -> None:
    """Each read is quick and the answer has no end: the request's time is for all of it."""
    server = serve(dripping(*DRIPPED[part]))
    with pytest.raises(UnavailableError, match=r"in time|timed out|sealflow status"):
        exchange(server.url, get_request(timeout_s=0.3))


class Sipping(ScriptedServer):
    """Reads a request drop by drop until told to stop."""

    def __init__(self) -> None:
        """Listen."""
        self.stopped = threading.Event()
        super().__init__(self._sip)

    def _sip(self, connection: socket.socket) -> None:
        while not self.stopped.wait(0.002):
            connection.recv(1024)

    def close(self) -> None:
        """Stop."""
        self.stopped.set()
        super().close()


@pytest.fixture(params=["memory", "file"])
def large(request: pytest.FixtureRequest, tmp_path: Path) -> HttpRequest:
    """A request that takes long to be read, of memory or of a file."""
    file = tmp_path / "package"
    file.write_bytes(bytes(2**25))
    body = file if request.param == "file" else file.read_bytes()
    return HttpRequest(method="PUT", path="/", body=body, timeout_s=0.3)


@pytest.mark.timeout(20)
def test_a_body_that_is_read_drop_by_drop(large: HttpRequest) -> None:
    """What is sent counts too."""
    with closing(Sipping()) as server, pytest.raises(UnavailableError):
        send_in_threads(server.url, large)


@pytest.mark.timeout(20)
def test_a_body_that_is_read_drop_by_drop_in_a_loop(large: HttpRequest) -> None:
    """So it does with an event loop, which goes on in the background until the other side ends."""

    async def run() -> None:
        server = Sipping()
        transport = AsyncHttpTransport(server.url, ca=None, connections=1)
        try:
            with pytest.raises(UnavailableError):
                await transport.run_steps(send(large))
            await asyncio.to_thread(server.close)
        finally:
            await transport.close()

    asyncio.run(run())
