"""Attacks by a host: frames, chunks and control messages with one fault."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.errors import EnvelopeTooLargeError, MalformedError, UnavailableError
from sealflow.wire.collateral_request import parse_collateral_request
from sealflow.wire.control import require_ok
from sealflow.wire.domain import length_prefixed, read_length_prefixed
from sealflow.wire.envelope import MAX_KEY_BLOB_BYTES, Envelope, Kind, encode_start
from sealflow.wire.frame_payloads import split_tick
from sealflow.wire.frames import (
    MAX_BATCH_ITEMS,
    MAX_FRAME_BYTES,
    MAX_HOST_TIME_MS,
    FrameKind,
    decode_batch,
    decode_chunk,
    decode_head,
    encode_batch,
    encode_chunk,
    encode_frame,
)
from sealflow.wire.ids import ModelRef, parse_key_id

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = encode_frame(FrameKind.TICK, b"")
BATCH = encode_batch(1, [(7, b"envelope"), (8, b"")])
CHUNK = encode_chunk(bytes(32), 0, 4, b"1234")
INTEL = {"tee": "sgx", "fmspc": "00906ea10000", "ca": "platform"}
AMD = {"tee": "snp", "product": "Milan", "leaf": "vcek", "chip_id": "0a" * 64, "tcb": {"snp": 255}}


def changed(data: bytes, at: int, new: bytes) -> bytes:
    """Replace bytes."""
    return data[:at] + new + data[at + len(new) :]


FRAMES: list[tuple[Callable[[bytes], object], bytes, bytes, str]] = [
    (decode_head, HEAD, changed(HEAD, 0, b"X"), "does not start with SF"),
    (decode_head, HEAD, changed(HEAD, 3, b"\1"), "reserved byte is not zero"),
    (decode_head, HEAD, changed(HEAD, 2, b"\0"), "unknown kind"),
    (decode_head, HEAD, HEAD[:4] + struct.pack(">I", MAX_FRAME_BYTES + 1), "over the limit"),
    (lambda data: decode_batch(memoryview(data)), BATCH, BATCH[:11], "too short"),
    (
        lambda data: decode_batch(memoryview(data)),
        encode_batch(MAX_HOST_TIME_MS, []),
        encode_batch(MAX_HOST_TIME_MS + 1, []),
        "after the year 9999",
    ),
    (
        lambda data: split_tick(memoryview(data)),
        MAX_HOST_TIME_MS.to_bytes(8),
        (2**64 - 1).to_bytes(8),
        "after the year 9999",
    ),
    (lambda data: decode_batch(memoryview(data)), BATCH, BATCH[:-1], "ends within an item"),
    (lambda data: decode_batch(memoryview(data)), BATCH, BATCH + b"x", "follow the last item"),
    (
        lambda data: decode_batch(memoryview(data)),
        encode_batch(1, [(7, b"envelope")]),
        encode_batch(1, [(7, b"envelope")])[:-1],
        "length is over the end",
    ),
    (
        lambda data: decode_batch(memoryview(data)),
        encode_batch(1, [(0, b"")] * MAX_BATCH_ITEMS),
        encode_batch(1, [(0, b"")] * (MAX_BATCH_ITEMS + 1)),
        "items are over the limit",
    ),
    (lambda data: decode_chunk(memoryview(data)), CHUNK, CHUNK[:47], "too short"),
    (lambda data: decode_chunk(memoryview(data)), CHUNK, CHUNK + b"5", "ends after its total"),
    (lambda data: split_tick(memoryview(data)), bytes(8), bytes(7), "tick: too short"),
    (
        lambda data: read_length_prefixed(memoryview(data), 4),
        length_prefixed(b"1234"),
        length_prefixed(b"12345"),
        "over its limit",
    ),
    (
        lambda data: read_length_prefixed(memoryview(data), 9),
        length_prefixed(b"1234"),
        length_prefixed(b"1234")[:-1],
        "over the end",
    ),
]

COLLATERAL: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (INTEL, {"other": 1}, "unknown 'other'"),
    (INTEL, {"tee": "sev"}, "tee is not one of sgx, tdx"),
    (INTEL, {"ca": "../"}, "ca is not one of platform, processor"),
    (INTEL, {"fmspc": 906}, "fmspc"),
    (INTEL, {"fmspc": "00906EA10000"}, "fmspc"),
    (AMD, {"other": 1}, "unknown 'other'"),
    (AMD, {"product": "Rome"}, "product is not one of Milan"),
    (AMD, {"leaf": "ark"}, "leaf is not one of vcek, vlek"),
    (AMD, {"chip_id": None}, "chip_id"),
    (AMD, {"chip_id": "0a" * 63}, "chip_id"),
    (AMD, {"tcb": []}, "tcb"),
    (AMD, {"tcb": {"psp": 1}}, "tcb"),
    (AMD, {"tcb": {"snp": "1"}}, "tcb"),
    (AMD, {"tcb": {"snp": -1}}, "tcb"),
    (AMD, {"tcb": {"snp": 256}}, "tcb"),
]

ENVELOPE_HEADER = (
    b'{"deadline_ms":1,"kid":"' + b"ab" * 32 + b'","model":"m","model_digest":"' + b"cd" * 32
    + b'","rid":"' + b"01" * 16 + b'","sid":"' + b"02" * 16 + b'","version":"1"}'
)  # fmt: skip
REFUSAL_HEADER = b'{"code":"expired","rid":null}'


@pytest.mark.parametrize(("parse", "good", "bent", "error"), FRAMES)
def test_frames(parse: Callable[[bytes], object], good: bytes, bent: bytes, error: str) -> None:
    """A frame or a payload with one fault is malformed, and the error names it."""
    parse(good)
    with pytest.raises(MalformedError, match=error):
        parse(bent)


def test_a_frame_that_nobody_may_send() -> None:
    """An enclave does not write a frame over the limit either."""
    with pytest.raises(MalformedError, match="over the limit"):
        encode_frame(FrameKind.BATCH, bytes(MAX_FRAME_BYTES + 1))


@pytest.mark.parametrize(("good", "change", "error"), COLLATERAL)
def test_collateral_requests(good: dict[str, Any], change: dict[str, Any], error: str) -> None:
    """No request for collateral puts words of its own into the address that a host fetches."""
    parse_collateral_request(json.dumps(good).encode())
    with pytest.raises(MalformedError, match=error):
        parse_collateral_request(json.dumps(good | change).encode())


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (None, "unavailable"),
        (b'{"error":"x"}', "unavailable"),
        (b'{"error":{"code":"full","detail":"x"}}', "full"),
    ],
)
def test_error_answers(answer: bytes | None, error: str) -> None:
    """An answer that is an error, however malformed, is no success."""
    require_ok(b'{"ok":1}', "publish")
    with pytest.raises(UnavailableError, match=error):
        require_ok(answer, "publish")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (
            encode_start(Kind.REQUEST, 1, ENVELOPE_HEADER, bytes(MAX_KEY_BLOB_BYTES + 1), 1)
            + bytes(MAX_KEY_BLOB_BYTES + 2),
            "key blob over its limit",
        ),
        (encode_start(Kind.REQUEST, 1, ENVELOPE_HEADER, b"", 9) + bytes(9), "over the limit 8"),
        (encode_start(Kind.REFUSAL, 0, REFUSAL_HEADER, b"", 1) + b"x", "a refusal with a body"),
        (encode_start(Kind.REFUSAL, 0, REFUSAL_HEADER.replace(b"null", b"NaN"), b"", 0), "strict"),
        (changed(encode_start(Kind.REFUSAL, 0, REFUSAL_HEADER, b"", 0), 4, b"\4"), "unknown kind"),
        (encode_start(Kind.REFUSAL, 0, REFUSAL_HEADER, b"x", 0) + b"x", "only a request carries"),
    ],
)
def test_envelopes(data: bytes, error: str) -> None:
    """Parts of an envelope have limits of their own, whatever their sum is."""
    with pytest.raises((MalformedError, EnvelopeTooLargeError), match=error):
        Envelope.from_bytes(data, max_body_bytes=8)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ModelRef(name="../m", version="1"),
        lambda: ModelRef(name="m", version="../1"),
        lambda: parse_key_id(None),
    ],
)
def test_names(make: Callable[[], object]) -> None:
    """Names and ids have one form."""
    with pytest.raises(MalformedError):
        make()
