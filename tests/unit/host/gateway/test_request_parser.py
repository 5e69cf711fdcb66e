"""What public lists of HTTP's ambiguities try: offers of other protocols, hosts, codings, ends."""

from __future__ import annotations

import itertools
import socket
from typing import TYPE_CHECKING

import pytest

from sealflow.wire.envelope import MEDIA_TYPE

if TYPE_CHECKING:
    from tests.support.cluster.gateway import GatewayProcess

OFFER = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQA\r\n"
WEBSOCKET = b"connection: keep-alive, upgrade\r\nupgrade: websocket\r\nsec-websocket-key: AA==\r\n"
POST = f"POST /v1/envelopes HTTP/1.1\r\nhost: x\r\ncontent-type: {MEDIA_TYPE}\r\n".encode()
LIVE = b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n"
INNER = b"GET /inner HTTP/1.1\r\nhost: x\r\n\r\n"
BODIES = {
    "length": b"content-length: %d\r\n\r\n%s" % (len(INNER), INNER),
    "chunks": b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(INNER), INNER),
}


def statuses(gateway: GatewayProcess, *pieces: bytes) -> list[int]:
    """Send pieces, and no more, over one connection; gives the status of each answer."""
    found = b""
    with gateway.raw() as connection:
        for piece in pieces:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(65536):
            found += piece
    return [int(part[:3]) for part in found.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize("offer", [OFFER, WEBSOCKET])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("apart", [True, False], ids=["apart", "together"])
def test_offer_with_body(
    gateway: GatewayProcess, offer: bytes, body: bytes, *, apart: bool
) -> None:
    """The offer is ignored: the body belongs to its request, and the next request is answered."""
    whole = POST + offer + body + LIVE + b"\r\n"
    head = len(POST + offer) + body.index(b"\r\n\r\n") + 4
    pieces = (whole[:head], whole[head:]) if apart else (whole,)
    assert statuses(gateway, *pieces) == [400, 200]


def test_offer_byte_by_byte(gateway: GatewayProcess) -> None:
    """Wherever the network cuts it, the outcome is the same."""
    whole = POST + OFFER + BODIES["length"] + LIVE + b"\r\n"
    assert statuses(gateway, *(bytes([each]) for each in whole)) == [400, 200]


@pytest.mark.parametrize("offer", [OFFER, WEBSOCKET])
def test_offer_without_body(gateway: GatewayProcess, offer: bytes) -> None:
    """Requests behind it in the same segment are answered, too."""
    one = LIVE + offer + b"\r\n"
    assert statuses(gateway, one + one + LIVE + b"\r\n") == [200, 200, 200]


def test_connect(gateway: GatewayProcess) -> None:
    """A tunnel is refused, and what was meant for it is no request."""
    assert statuses(gateway, b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n" + INNER) == [400]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /v2/health/live HTTP/1.1\r\n", 400),
        (LIVE + b"host: y\r\n", 400),
        (LIVE + b"Host: x\r\n", 400),
        (b"GET /v2/health/live HTTP/1.0\r\n", 200),
        (POST + b"transfer-encoding: gzip, chunked\r\n", 501),
        (POST + b"transfer-encoding: gzip\r\n", 501),
        (POST + b"transfer-encoding: identity\r\n", 501),
        (POST + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", 400),
        (POST + b"transfer-encoding: xchunked\r\n", 501),
        (POST + b"content-encoding: gzip\r\ncontent-length: 0\r\n", 415),
        (POST + b"content-encoding: br\r\ncontent-length: 0\r\n", 415),
        (POST + b"content-encoding: identity\r\ncontent-length: 0\r\n", 400),
        (LIVE + b"x: " + bytes(2**17).replace(b"\0", b"a") + b"\r\n", 431),
    ],
)
def test_heads(gateway: GatewayProcess, head: bytes, status: int) -> None:
    """One host, one coding; whoever says more is told so, and nothing behind it is taken."""
    found = statuses(gateway, head + b"\r\n")
    assert found[0] == status
    assert len(found) == 1


def test_half_closed(gateway: GatewayProcess) -> None:
    """A client that sends no more gets its answers; one that stops within a body gets none."""
    assert statuses(gateway, LIVE + b"\r\n") == [200]
    assert statuses(gateway, LIVE + b"\r\n" + LIVE + b"\r\n") == [200, 200]
    assert statuses(gateway, POST + b"content-length: 9\r\n\r\nhello") == []


def test_smuggled(gateway: GatewayProcess) -> None:
    """However lengths and codings are mixed, the inner request is never answered (404)."""
    lengths = [b"", b"content-length: 0\r\n", b"content-length: %d\r\n" % len(INNER)]
    spellings = [
        b"chunked",
        b" chunked",
        b"chunked ",
        b"\tchunked",
        b"Chunked",
        b"chunked, identity",
    ]
    codings = [b"", *(b"transfer-encoding:%s\r\n" % each for each in spellings)]
    offers = [b"", OFFER]
    for length, coding, offer in itertools.product(lengths, codings, offers):
        if coding or length.endswith(b"%d\r\n" % len(INNER)):
            chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(INNER), INNER)
            body = chunked if coding else INNER
            found = statuses(gateway, POST + length + coding + offer + b"\r\n" + body)
            assert 404 not in found, (length, coding, offer)
