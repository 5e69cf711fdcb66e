"""What may come over a gateway's connections that is no good HTTP, too much of it, or too slow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import RefusalCode
from sealflow.wire.envelope import MEDIA_TYPE, Envelope
from tests.support.cluster.gateway import GatewayProcess, ScriptedEngine, read_refusal, seal_call

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

POST = f"POST /v1/envelopes HTTP/1.1\r\nhost: x\r\ncontent-type: {MEDIA_TYPE}\r\n".encode()


def exchange(gateway: GatewayProcess, *pieces: bytes) -> bytes:
    """Send pieces over one connection; gives all that comes until the gateway closes it."""
    with gateway.raw() as connection:
        send(connection, pieces)
        return rest(connection)


def send(connection: socket.socket, pieces: Iterable[bytes]) -> None:
    """Send as much as the gateway takes."""
    try:
        for piece in pieces:
            connection.sendall(piece)
    except (BrokenPipeError, ConnectionResetError):
        return


def rest(connection: socket.socket) -> bytes:
    """Read until the other side closes."""
    found = b""
    try:
        while piece := connection.recv(65536):
            found += piece
    except ConnectionResetError:
        pass
    return found


def body_of(answer: bytes) -> bytes:
    """What stands behind the headers."""
    return answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    "request_",
    [
        b"GARBAGE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        POST + b"content-length: -1\r\n\r\n",
        POST + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        POST + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        POST + b"bad header\r\n\r\n",
    ],
    ids=["text", "tls", "negative", "two-lengths", "smuggled", "header"],
)
def test_broken_requests(gateway: GatewayProcess, request_: bytes) -> None:
    """What is no HTTP, or could be read in two ways, is answered with 400, and that is the end."""
    assert exchange(gateway, request_).startswith(b"HTTP/1.1 400 ")


def test_broken_chunks(gateway: GatewayProcess, engine: ScriptedEngine) -> None:
    """A body whose framing breaks off is never queued."""
    exchange(gateway, POST + b"transfer-encoding: chunked\r\n\r\nzz\r\nhello")
    assert engine.waiting() == 0


def test_chunked_body(gateway: GatewayProcess) -> None:
    """A body without an announced length is read to its end."""
    chunks = b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    answer = exchange(gateway, POST, chunks)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert Envelope.from_bytes(body_of(answer), max_body_bytes=0).header.request_id is None


def test_announced_too_large(gateway: GatewayProcess) -> None:
    """A length over the limit is refused before anything of the body came."""
    answer = exchange(gateway, POST + b"content-length: 999999999999999\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer


def test_chunks_without_end(gateway: GatewayProcess) -> None:
    """A body that goes on and on is cut at the limit."""
    start = seal_call(size=2**19).envelope[: 2**16]
    piece = b"10000\r\n" + start + b"\r\n"
    answer = exchange(gateway, POST, b"transfer-encoding: chunked\r\n\r\n", *[piece] * 40)
    assert answer.startswith(b"HTTP/1.1 413 ") or answer == b""


def test_body_over_the_limit(gateway: GatewayProcess) -> None:
    """An envelope whose body is over the limit is refused as too large."""
    response = gateway.post(seal_call(size=2**20 + 1).envelope)
    assert (response.status_code, read_refusal(response)) == (413, RefusalCode.TOO_LARGE)
    assert response.headers["connection"] == "close"


def test_slow_body(gateway: GatewayProcess) -> None:
    """A body that does not come is waited for as long as configured, then 408."""
    answer = exchange(gateway, POST + b"content-length: 100\r\n\r\nabc")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"took too long" in answer
    assert b"connection: close" in answer


@pytest.mark.parametrize(
    "start", [b"", b"GET /v2/health/live HT", b"GET / HTTP/1.1\r\nhost: x\r\n"]
)
def test_slow_headers(gateway: GatewayProcess, start: bytes) -> None:
    """A connection on which no request becomes whole is closed."""
    assert exchange(gateway, start) == b""


def test_slow_headers_of_a_second_request(gateway: GatewayProcess) -> None:
    """The bound holds for every request of a connection."""
    whole = b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n"
    answer = exchange(gateway, whole + b"GET /v2/hea")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b'{"live":true}')


def test_requests_in_one_piece(gateway: GatewayProcess) -> None:
    """Requests that are sent without waiting are answered in order."""
    live = b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n"
    absent = b"GET /absent HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    statuses = exchange(gateway, live + live + absent).split(b"HTTP/1.1 ")[1:]
    assert [each[:3] for each in statuses] == [b"200", b"200", b"404"]


def endless_headers() -> Iterable[bytes]:
    """Many short headers."""
    yield b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n"
    for number in range(2000):
        yield b"".join(b"x-%d-%d: %s\r\n" % (number, at, b"y" * 100) for at in range(1000))


def endless_header() -> Iterable[bytes]:
    """One header without an end."""
    yield b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\nx-long: "
    for _ in range(200):
        yield b"y" * 2**20


def endless_trailer() -> Iterable[bytes]:
    """A body that ends, and headers behind it that do not."""
    yield POST + b"transfer-encoding: chunked\r\n\r\n0\r\nx-long: "
    for _ in range(200):
        yield b"y" * 2**20


def endless_path() -> Iterable[bytes]:
    """A path without an end."""
    yield b"GET /"
    for _ in range(200):
        yield b"y" * 2**20


@pytest.mark.parametrize(
    "flood", [endless_headers, endless_header, endless_trailer, endless_path],
    ids=["many", "one", "trailer", "path"],
)  # fmt: skip
def test_floods_of_headers(gateway: GatewayProcess, flood: type[Iterable[bytes]]) -> None:
    """Headers without end are cut off long before they fill the memory."""
    before = memory_bytes(gateway, anew=True)
    answer = exchange(gateway, *flood())
    assert answer == b"" or answer.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 408 "))
    assert memory_bytes(gateway) - before < 16 * 2**20


def memory_bytes(gateway: GatewayProcess, *, anew: bool = False) -> int:
    """The most memory that the gateway has had; `anew`: from now on."""
    process = Path(f"/proc/{gateway.process.pid}")
    if anew:
        (process / "clear_refs").write_text("5")
    lines = (process / "status").read_text().splitlines()
    [peak] = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(peak) * 1024
