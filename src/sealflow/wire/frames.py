"""Core, pure, stdlib only: frames over the pipes between a host process and its enclave.

A frame is `SF`, a kind, a zero byte, a 32-bit big-endian length, then the payload. Sans-I/O: bytes
in, frames out. Spec: docs/spec/frames.md.
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
"""The largest envelope, and about what a frame of several holds at most."""
MAX_CONTROL_BYTES: Final = 2**20
"""The largest request to the key broker."""

_MAGIC: Final = b"SF"
_HEAD = struct.Struct(">2sBBI")
_BATCH = struct.Struct(">QI")
_ITEM = struct.Struct(">QI")
_CHUNK = struct.Struct(">32sQQ")
MAX_COLLATERAL_BYTES: Final = 512 * 1024


class FrameKind(enum.IntEnum):
    """What a frame carries, and which way it may go."""

    BOOT = 1
    """host → enclave, once, first: JSON, the settings (see docs/spec/frames.md)."""
    READY = 2
    """enclave → host: JSON, what is served now; again whenever that changes."""
    TICK = 3
    """host → enclave: the host's time in ms (8 bytes), then the current directory or nothing."""
    BATCH = 4
    """host → worker: envelopes, see `encode_batch`."""
    REPLIES = 5
    """worker → host: envelopes by the slots of their requests."""
    CONTROL = 6
    """worker → host: a request to the key broker; host → worker: its answer. One at a time.
    The key broker's host uses it the other way round."""
    WANT = 7
    """worker → host: the 32-byte digest of a model package that it needs."""
    PACKAGE = 8
    """host → worker: a piece of a package, see `encode_chunk`; total 0 says that it is absent."""
    DIRECTORY = 9
    """key broker → host: the signed directory to publish."""
    EVENT = 10
    """enclave → host: JSON, an event's name and integers; nothing else may leave in clear."""
    FATAL = 11
    """enclave → host: UTF-8, why the enclave ends; of a closed list, no free text."""
    LEAD = 12
    """host → key broker: serve from now on: the time in ms (8 bytes), then the state or nothing."""
    STATE = 13
    """key broker → host: to be kept before anything else: the sealed state by its number, then the
    new log records by theirs, as in `encode_batch`."""
    KEY = 14
    """key broker → host: the state's key, sealed for this machine; keep it, and give it in BOOT."""

    COLLATERAL = 15
    """enclave → host: JSON, which collateral goes with its quotes; host → enclave: the collateral,
    or nothing, and again whenever there is newer."""


def encode_frame(kind: FrameKind, payload: bytes | bytearray | memoryview = b"") -> bytes:
    """Write one frame.

    Raises: MalformedError when the payload is over `MAX_FRAME_BYTES`.
    """
    if len(payload) > MAX_FRAME_BYTES:
        msg = f"frame: payload of {len(payload)} bytes is over the limit"
        raise MalformedError(msg)
    return _HEAD.pack(_MAGIC, kind, 0, len(payload)) + payload


def decode_head(head: bytes | bytearray | memoryview) -> tuple[FrameKind, int]:
    """Read a frame's kind and payload length from its first 8 bytes.

    Raises: MalformedError, after which the stream cannot be trusted to be in step.
    """
    magic, kind, reserved, length = _HEAD.unpack(head)
    if magic != _MAGIC or reserved != 0:
        msg = "frame: wrong magic"
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
    """Write envelopes by slot; a slot is the host's number for a request, 0 to 2^64 - 1."""
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
    """Cut envelopes by slot into parts that each fit into a frame, in their order."""
    start = part_bytes = 0
    for at, (_, envelope) in enumerate(items):
        part_bytes += len(envelope)
        if at > start and part_bytes > MAX_BATCH_BYTES:
            yield items[start:at]
            start, part_bytes = at, len(envelope)
    yield items[start:]


def decode_batch(payload: memoryview) -> tuple[int, list[tuple[int, memoryview]]]:
    """Read the sender's time in ms and the envelopes by slot.

    Raises: MalformedError.
    """
    if len(payload) < _BATCH.size:
        msg = "batch: too short"
        raise MalformedError(msg)
    now_ms, count = _BATCH.unpack_from(payload)
    if count > MAX_BATCH_ITEMS:
        msg = f"batch: {count} items are over the limit {MAX_BATCH_ITEMS}"
        raise MalformedError(msg)
    items = list(_items(payload, _BATCH.size, count))
    return now_ms, items


def encode_chunk(digest: bytes, offset: int, total: int, piece: bytes | memoryview) -> bytes:
    """Write a piece of a package: its SHA-256 (32 bytes), where it goes, the whole's length."""
    return _CHUNK.pack(digest, offset, total) + piece


def decode_chunk(payload: memoryview) -> tuple[bytes, int, int, memoryview]:
    """Read digest, offset, total and the piece.

    Raises: MalformedError, also when the piece goes over the total.
    """
    if len(payload) < _CHUNK.size:
        msg = "package chunk: too short"
        raise MalformedError(msg)
    digest, offset, total = _CHUNK.unpack_from(payload)
    piece = payload[_CHUNK.size :]
    if offset + len(piece) > total:
        msg = "package chunk: goes over its total"
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
            msg = "batch: an item goes over the end"
            raise MalformedError(msg)
        yield slot, payload[at : at + length]
        at += length
    if at != len(payload):
        msg = "batch: trailing bytes"
        raise MalformedError(msg)
