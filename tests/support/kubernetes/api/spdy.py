"""SPDY 3.1 from a server's side, as far as kubectl speaks it: streams over one connection.

Source: the SPDY protocol, draft 3.1. No flow control: Kubernetes' clients have none either.
"""

from __future__ import annotations

import struct
import threading
import zlib
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from tests.support.chart.rendering import TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedIOBase

_VERSION: Final = 0x8003
_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING = 1, 2, 3, 6
_FIN: Final = 1
_MAX_PIECE: Final = 2**16
_DICTIONARY_START: Final = b"\x00\x00\x00\x07options\x00\x00\x00\x04head"
_DICTIONARY_BYTES: Final = 1423


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One stream of a client's: what it sends comes by `pieces`, and ends with an empty one."""

    number: int
    headers: dict[str, str]
    pieces: SimpleQueue[bytes] = field(default_factory=SimpleQueue)


class Connection:
    """Takes streams from a client until it goes. Several threads may send."""

    def __init__(self, reader: BufferedIOBase, writer: BufferedIOBase) -> None:
        """Take over a connection that has been upgraded."""
        dictionary = _dictionary()
        self._reader = reader
        self._writer = writer
        self._inflate = zlib.decompressobj(zdict=dictionary)
        self._deflate = zlib.compressobj(zdict=dictionary)
        self._streams: dict[int, Stream] = {}
        self._sending = threading.Lock()

    def streams(self) -> Iterator[Stream]:
        """Give each new stream, once it is accepted. Ends with the connection."""
        try:
            while len(head := self._reader.read(8)) == 8:
                first, second = struct.unpack(">II", head)
                body = self._reader.read(second & 0xFFFFFF)
                flags = second >> 24
                if not first >> 31:
                    self._take(first, flags, body)
                elif first & 0xFFFF == _SYN_STREAM:
                    yield self._accept(flags, body)
                elif first & 0xFFFF == _PING:
                    self._send_control(_PING, body)
                elif first & 0xFFFF == _RST_STREAM:
                    self._end(struct.unpack(">I", body[:4])[0])
        finally:
            for number in list(self._streams):
                self._end(number)

    def send(self, stream: Stream, piece: bytes, *, last: bool = False) -> None:
        """Send data on a stream; with `last`, end its way to the client.

        Raises: OSError when the client has gone.
        """
        for start in range(0, len(piece), _MAX_PIECE):
            self._write(struct.pack(">I", stream.number), 0, piece[start : start + _MAX_PIECE])
        if last:
            self._write(struct.pack(">I", stream.number), _FIN, b"")

    def _accept(self, flags: int, body: bytes) -> Stream:
        number = struct.unpack(">I", body[:4])[0] & 0x7FFFFFFF
        stream = Stream(number=number, headers=_headers(self._inflate.decompress(body[10:])))
        self._streams[number] = stream
        if flags & _FIN:
            self._end(number)
        none = self._deflate.compress(struct.pack(">I", 0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        self._send_control(_SYN_REPLY, struct.pack(">I", number) + none)
        return stream

    def _take(self, number: int, flags: int, body: bytes) -> None:
        stream = self._streams.get(number)
        if stream is not None and body:
            stream.pieces.put(body)
        if flags & _FIN:
            self._end(number)

    def _end(self, number: int) -> None:
        stream = self._streams.pop(number, None)
        if stream is not None:
            stream.pieces.put(b"")

    def _send_control(self, kind: int, body: bytes) -> None:
        self._write(struct.pack(">HH", _VERSION, kind), 0, body)

    def _write(self, head: bytes, flags: int, body: bytes) -> None:
        with self._sending:
            self._writer.write(head + struct.pack(">I", flags << 24 | len(body)) + body)
            self._writer.flush()


def _headers(block: bytes) -> dict[str, str]:
    texts, at = [], 4
    while at < len(block):
        (length,) = struct.unpack_from(">I", block, at)
        texts.append(block[at + 4 : at + 4 + length].decode())
        at += 4 + length
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _dictionary() -> bytes:
    """Give the protocol's dictionary of headers, which every client carries."""
    client = (TOOLS / "kubectl").read_bytes()
    start = client.index(_DICTIONARY_START)
    return client[start : start + _DICTIONARY_BYTES]
