"""Both HTTP transports against small servers that behave, misbehave, and go away."""

from __future__ import annotations

import socket
import threading
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import ConfigError, UnavailableError
from sealflow.owner.http.steps import HttpRequest, send
from sealflow.owner.http.transport import HttpTransport
from tests.support.network.http_peers import OK, answer_with, get_request, receive_request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.network.http_peers import Exchange, ScriptedServer


def test_one_connection_for_many(exchange: Exchange, serve: Callable[..., ScriptedServer]) -> None:
    """Requests one after the other share a connection."""
    server = serve(answer_with(OK, OK, OK))
    assert [
        each.body for each in exchange(server.url, get_request(), get_request(), get_request())
    ] == [b"ok"] * 3
    assert server.served == 1


def test_after_a_close(exchange: Exchange, serve: Callable[..., ScriptedServer]) -> None:
    """A connection that the gateway says it closes is not used again."""
    closing_answer = OK.replace(b"OK\r\n", b"OK\r\nconnection: close\r\n")
    server = serve(answer_with(closing_answer), answer_with(OK))
    assert [each.status for each in exchange(server.url, get_request(), get_request())] == [
        200,
        200,
    ]


def test_large_bodies(
    exchange: Exchange, serve: Callable[..., ScriptedServer], tmp_path: Path
) -> None:
    """Bodies of megabytes, of memory or of a file, arrive whole, and so do answers."""
    content = bytes(range(256)) * 12_000
    file = tmp_path / "package"
    file.write_bytes(content)

    def echo(connection: socket.socket) -> None:
        for _ in range(2):
            body = receive_request(connection)
            head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)

    server = serve(echo)
    bodies = (content, file)
    asked = [HttpRequest(method="PUT", path="/", body=body, timeout_s=10) for body in bodies]
    assert [each.body for each in exchange(server.url, *asked)] == [content, content]


def test_refused_before_the_end(exchange: Exchange, serve: Callable[..., ScriptedServer]) -> None:
    """The answer of a gateway that reads no more than the head is taken all the same."""
    refusal = b"HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"

    def refuse(connection: socket.socket) -> None:
        connection.recv(64)
        connection.sendall(refusal)
        connection.shutdown(socket.SHUT_WR)
        # A loop that has ended closes what it had begun to send when it is collected.
        connection.settimeout(2)
        with suppress(TimeoutError):
            while connection.recv(65536):
                pass

    server = serve(refuse)
    big = HttpRequest(method="POST", path="/", body=bytes(2**22), timeout_s=10)
    assert exchange(server.url, big)[0].status == 413


@pytest.mark.parametrize("answer", [b"", OK[:-1], b"nonsense\r\n\r\n"])
def test_broken_answers(
    exchange: Exchange, serve: Callable[..., ScriptedServer], answer: bytes
) -> None:
    """No answer, half of one, or nonsense: each says which gateway, and where to look."""
    # One of the libraries asks again by itself when there is no answer.
    server = serve(*[answer_with(answer)] * 2)
    with pytest.raises(UnavailableError, match=f"gateway {server.url}: .*sealflow status"):
        exchange(server.url, get_request())


def test_silence(exchange: Exchange, serve: Callable[..., ScriptedServer]) -> None:
    """A gateway that never answers is given up when the time is over."""
    server = serve(lambda connection: connection.recv(65536) and connection.recv(1))
    with pytest.raises(UnavailableError, match=r"no answer in time|timed out"):
        exchange(server.url, get_request(timeout_s=0.2))


def test_nobody_there(exchange: Exchange) -> None:
    """A port where nobody listens is an absent gateway."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(UnavailableError, match=f"gateway http://127.0.0.1:{port}: "):
        exchange(f"http://127.0.0.1:{port}", get_request())


def test_absent_file(exchange: Exchange, tmp_path: Path) -> None:
    """A file that cannot be read is the caller's fault, not the gateway's."""
    missing = HttpRequest(method="PUT", path="/", body=tmp_path / "absent", timeout_s=10)
    with pytest.raises(ConfigError, match="absent"):
        exchange("http://127.0.0.1:1", missing)


def test_connections_are_bounded(serve: Callable[..., ScriptedServer]) -> None:
    """Who finds all connections in use waits for one, at most for its own time."""
    asked, go = threading.Event(), threading.Event()

    def slow(connection: socket.socket) -> None:
        receive_request(connection)
        asked.set()
        go.wait(10)
        connection.sendall(OK)

    server = serve(slow)
    with closing(HttpTransport(server.url, ca=None, connections=1)) as transport:
        first = threading.Thread(target=transport.run_steps, args=(send(get_request()),))
        first.start()
        asked.wait(10)
        with pytest.raises(UnavailableError, match="all connections are in use"):
            transport.run_steps(send(get_request(timeout_s=0.1)))
        go.set()
        first.join()


def test_roots_that_cannot_be_read(tmp_path: Path) -> None:
    """A file of roots that is missing, or is none, is named."""
    nonsense = tmp_path / "roots.pem"
    nonsense.write_text("nonsense")
    for path in (nonsense, tmp_path / "absent.pem"):
        with pytest.raises(ConfigError, match=f"CA file {path}"):
            HttpTransport("https://localhost", ca=path, connections=1)


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8470",
        "ftp://host",
        "http://",
        "http://host:port",
        "http://host:0",
        "http://me:secret@host",
        "http://host?x=1",
        "http://ho st",
    ],
)
def test_urls_of_no_gateway(url: str) -> None:
    """What is not a gateway's URL is refused before anything is sent."""
    with pytest.raises(ConfigError, match="gateway URL"):
        HttpTransport(url, ca=None, connections=1)
