"""Requests and inboxes of a queue, as its server holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import valkey

from sealflow.streams.keys import Keyspace

if TYPE_CHECKING:
    from tests.support.queue.server import QueueServer

KEYS = Keyspace(deployment="test")
STREAM = KEYS.requests
INBOX = KEYS.inbox("reader")


def raw_client(server: QueueServer) -> Any:
    """A connection to a server, for looking at what it holds."""
    return valkey.Valkey.from_url(server.url)


def submit_envelope(server: QueueServer, *envelopes: bytes, inbox: str = INBOX) -> None:
    """Append requests as a sender would, with the correlations c0, c1 and so on."""
    raw = raw_client(server)
    for number, envelope in enumerate(envelopes):
        raw.xadd(STREAM, {b"e": envelope, b"c": b"c%d" % number, b"r": inbox})


def inbox_of(server: QueueServer, name: str = INBOX) -> list[dict[bytes, bytes]]:
    """What an inbox holds."""
    return [fields for _, fields in raw_client(server).xrange(name)]
