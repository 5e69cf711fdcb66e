"""Small servers that answer by a script, and both HTTP transports to ask them."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Protocol

from sealflow.owner.http.async_transport import AsyncHttpTransport
from sealflow.owner.http.steps import HttpRequest, HttpResponse, Steps, send
from sealflow.owner.http.transport import HttpTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    Script = Callable[[socket.socket], None]

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Exchange(Protocol):
    """Sends requests one after the other over one transport, and gives the answers."""

    def __call__(self, url: str, *requests: HttpRequest) -> list[HttpResponse]:
        """Ask the gateway at `url`."""
        ...


class ScriptedServer:
    """Gives every connection to the next script, in a thread; keeps what was received."""

    def __init__(self, *scripts: Script) -> None:
        """Listen; one script for each connection that will come."""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.served = 0
        self._thread = threading.Thread(target=self._serve, args=(scripts,))
        self._thread.start()

    def _serve(self, scripts: tuple[Script, ...]) -> None:
        for script in scripts:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                # Closed: nobody came for this script.
                return
            self.served += 1
            with connection:
                script(connection)

    def close(self) -> None:
        """Take no more connections, and wait for the script that runs."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listening.close()
        assert not self._thread.is_alive()


def receive_request(connection: socket.socket) -> bytes:
    """Read one request whole."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
    while len(body) < length:
        body += connection.recv(65536)
    return body


def answer_with(*answers: bytes) -> Script:
    """Answer so many requests of one connection, then close it."""

    def script(connection: socket.socket) -> None:
        for answer in answers:
            receive_request(connection)
            connection.sendall(answer)

    return script


def get_request(timeout_s: float = 10) -> HttpRequest:
    """A plain request."""
    return HttpRequest(method="GET", path="/v1/directory", timeout_s=timeout_s)


def send_all(requests: tuple[HttpRequest, ...]) -> Steps[list[HttpResponse]]:
    """A conversation of requests."""
    answers: list[HttpResponse] = []
    for request in requests:
        answers += [(yield from send(request))]
    return answers


def send_in_threads(url: str, *requests: HttpRequest) -> list[HttpResponse]:
    """Use the transport for threads."""
    with closing(HttpTransport(url, ca=None, connections=2)) as transport:
        return transport.run_steps(send_all(requests))


def send_in_loop(url: str, *requests: HttpRequest) -> list[HttpResponse]:
    """Use the transport for event loops."""

    async def run() -> list[HttpResponse]:
        transport = AsyncHttpTransport(url, ca=None, connections=2)
        try:
            return await transport.run_steps(send_all(requests))
        finally:
            await transport.close()

    return asyncio.run(run())
