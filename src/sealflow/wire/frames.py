"""Core, pure, stdlib only: frames over the pipes between a host process and its enclave.

A frame is `SF`, a kind, a zero byte, a 32-bit big-endian length, then the payload. This module does
no I/O. Spec: docs/spec/frames.md.
"""

from __future__ import annotations

import enum
import struct
from typing import TYPE_CHECKING, Final

from sealflow.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


FRAME_HEAD_LENGTH: Final = 8
MAX_FRAME_BYTES: Final = 256 * 2**20
MAX_BATCH_ITEMS: Final = 4096
MAX_BATCH_BYTES: Final = MAX_FRAME_BYTES // 2
"""The largest envelope, and the limit at which `split_batch` starts another frame."""
MAX_CONTROL_BYTES: Final = 2**20
"""The largest request to the key broker."""
MAX_HOST_TIME_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999. A later time of a host could not be written into documents
once times of a deployment are added to it."""

_MAGIC: Final = b"SF"
_HEAD = struct.Struct(">2sBBI")
_BATCH = struct.Struct(">QI")
_ITEM = struct.Struct(">QI")
_CHUNK = struct.Struct(">32sQQ")
MAX_COLLATERAL_BYTES: Final = 512 * 1024


class FrameKind(enum.IntEnum):
    """The kind of a frame, which decides its payload and direction."""

    BOOT = 1
    """host → enclave: the settings, in JSON. The first frame, sent once."""
    READY = 2
    """enclave → host: the instance and its models, in JSON. Sent again after every change."""
    TICK = 3
    """host → enclave: the host's time in Unix ms (8 bytes), then the current directory or
    nothing."""
    BATCH = 4
    """host → worker: request envelopes by slot, see `encode_batch`."""
    REPLIES = 5
    """worker → host: reply envelopes by the slots of their requests, see `encode_batch`."""
    CONTROL = 6
    """worker → host: a request to the key broker; host → worker: its answer. One at a time.
    Between a key broker and its host the directions are reversed."""
    WANT = 7
    """worker → host: the digest (32 bytes) of a model package that the worker needs."""
    PACKAGE = 8
    """host → worker: a piece of a package, see `encode_chunk`; total 0 if the package is absent."""
    DIRECTORY = 9
    """key broker → host: the signed directory to publish."""
    EVENT = 10
    """enclave → host: an event's name and integers, in JSON. No other clear text leaves."""
    FATAL = 11
    """enclave → host: the reason why the enclave ends, one of `frame_payloads.Fatal`."""
    LEAD = 12
    """host → key broker: start to lead: the time in Unix ms (8 bytes), then the sealed state or
    nothing."""
    STATE = 13
    """key broker → host: the sealed state by its number, then the new log records by theirs, as in
    `encode_batch`. The host stores them before it acts on any later frame."""
    KEY = 14
    """key broker → host: the state key, sealed for this machine. The host stores it and sends it in
    later BOOT frames."""

    COLLATERAL = 15
    """enclave → host: a request for collateral, in JSON; host → enclave: the collateral or nothing,
    and again when there is newer collateral."""
    SERVE = 16
    """host → worker: the owner (32 bytes) whose models it serves; once, if BOOT did not name it."""


def encode_frame(kind: FrameKind, payload: bytes | bytearray | memoryview = b"") -> bytes:
    """Return one frame.

    Raises: MalformedError if the payload is over `MAX_FRAME_BYTES`.
    """
    if len(payload) > MAX_FRAME_BYTES:
        msg = f"frame: payload of {len(payload)} bytes is over the limit"
        raise MalformedError(msg)
    return _HEAD.pack(_MAGIC, kind, 0, len(payload)) + payload


def decode_head(head: bytes | bytearray | memoryview) -> tuple[FrameKind, int]:
    """Return a frame's kind and payload length from its first `FRAME_HEAD_LENGTH` bytes.

    Raises: MalformedError. The reader must then close the pipe, because it cannot find the start of
    the next frame.
    """
    magic, kind, reserved, length = _HEAD.unpack(head)
    if magic != _MAGIC or reserved != 0:
        msg = "frame: does not start with SF, or its reserved byte is not zero"
        raise MalformedError(msg)
    if length > MAX_FRAME_BYTES:
        msg = f"frame: length {length} is over the limit"
        raise MalformedError(msg)
    try:
        return FrameKind(kind), length
    except ValueError as error:
        msg = f"frame: unknown kind {kind}"
        raise MalformedError(msg) from error


def encode_batch(now_ms: int, items: Iterable[tuple[int, bytes | memoryview]]) -> bytes:
    """Return the payload of a BATCH or REPLIES frame.

    `now_ms`: the sender's time in Unix ms. `items`: slots and envelopes. A slot is the host's
    number of a request, 0 to 2^64 - 1.
    """
    parts: list[bytes | memoryview] = [b""]
    count = 0
    for slot, envelope in items:
        parts.append(_ITEM.pack(slot, len(envelope)))
        parts.append(envelope)
        count += 1
    parts[0] = _BATCH.pack(now_ms, count)
    return b"".join(parts)


def split_batch(
    items: Sequence[tuple[int, bytes | memoryview]],
) -> Iterator[Sequence[tuple[int, bytes | memoryview]]]:
    """Yield the items in order, in groups that each fit into a frame."""
    start = part_bytes = 0
    for at, (_, envelope) in enumerate(items):
        part_bytes += len(envelope)
        if at > start and part_bytes > MAX_BATCH_BYTES:
            yield items[start:at]
            start, part_bytes = at, len(envelope)
    yield items[start:]


def decode_batch(payload: memoryview) -> tuple[int, list[tuple[int, memoryview]]]:
    """Return the sender's time in Unix ms, and the envelopes by slot.

    Raises: MalformedError.
    """
    if len(payload) < _BATCH.size:
        msg = "batch: too short"
        raise MalformedError(msg)
    now_ms, count = _BATCH.unpack_from(payload)
    if count > MAX_BATCH_ITEMS:
        msg = f"batch: {count} items are over the limit {MAX_BATCH_ITEMS}"
        raise MalformedError(msg)
    if now_ms > MAX_HOST_TIME_MS:
        msg = f"batch: the time {now_ms} is after the year 9999"
        raise MalformedError(msg)
    items = list(_items(payload, _BATCH.size, count))
    return now_ms, items


def encode_chunk(digest: bytes, offset: int, total: int, piece: bytes | memoryview) -> bytes:
    """Return the payload of a PACKAGE frame.

    `digest`: the digest of the package, 32 bytes. `offset`: of the piece in the package. `total`:
    the length of the whole package.
    """
    return _CHUNK.pack(digest, offset, total) + piece


def decode_chunk(payload: memoryview) -> tuple[bytes, int, int, memoryview]:
    """Return digest, offset, total and piece of a PACKAGE frame.

    Raises: MalformedError, also if the piece ends after the total.
    """
    if len(payload) < _CHUNK.size:
        msg = "package chunk: too short"
        raise MalformedError(msg)
    digest, offset, total = _CHUNK.unpack_from(payload)
    piece = payload[_CHUNK.size :]
    if offset + len(piece) > total:
        msg = "package chunk: ends after its total"
        raise MalformedError(msg)
    return digest, offset, total, piece


def _items(payload: memoryview, at: int, count: int) -> Iterator[tuple[int, memoryview]]:
    for _ in range(count):
        if len(payload) - at < _ITEM.size:
            msg = "batch: ends within an item"
            raise MalformedError(msg)
        slot, length = _ITEM.unpack_from(payload, at)
        at += _ITEM.size
        if length > len(payload) - at:
            msg = "batch: an item's length is over the end"
            raise MalformedError(msg)
        yield slot, payload[at : at + length]
        at += length
    if at != len(payload):
        msg = "batch: bytes follow the last item"
        raise MalformedError(msg)
