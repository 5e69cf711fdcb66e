"""Frames between a host process and its enclave."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealflow.errors import MalformedError
from sealflow.wire.frame_payloads import split_tick
from sealflow.wire.frames import (
    FRAME_HEAD_LENGTH,
    MAX_BATCH_BYTES,
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
    split_batch,
)


@given(kind=st.sampled_from(FrameKind), payload=st.binary(max_size=50))
def test_a_frame_announces_kind_and_length(kind: FrameKind, payload: bytes) -> None:
    """The head tells what follows."""
    frame = encode_frame(kind, payload)
    assert decode_head(frame[:FRAME_HEAD_LENGTH]) == (kind, len(payload))
    assert frame[FRAME_HEAD_LENGTH:] == payload


@pytest.mark.parametrize(
    "head",
    [b"XX\x01\0\0\0\0\0", b"SF\x01\x01\0\0\0\0", b"SF\x63\0\0\0\0\0", b"SF\x01\0\xff\xff\xff\xff"],
)
def test_a_head_out_of_step_is_refused(head: bytes) -> None:
    """Wrong magic, reserved byte, kind or length stop the stream before anything is allocated."""
    with pytest.raises(MalformedError):
        decode_head(head)


def test_a_payload_over_the_limit_is_not_written() -> None:
    """The limit holds on the writing side too."""
    too_long = memoryview(bytes(1)).cast("B")
    assert len(encode_frame(FrameKind.BATCH, too_long)) == FRAME_HEAD_LENGTH + 1
    with pytest.raises(MalformedError, match="over the limit"):
        encode_frame(FrameKind.BATCH, bytearray(MAX_FRAME_BYTES + 1))


@given(
    now_ms=st.integers(0, MAX_HOST_TIME_MS),
    items=st.lists(st.tuples(st.integers(0, 2**64 - 1), st.binary(max_size=40)), max_size=20),
)
def test_a_batch_comes_back_as_it_was_written(now_ms: int, items: list[tuple[int, bytes]]) -> None:
    """Time, slots and envelopes survive the way."""
    assert decode_batch(memoryview(encode_batch(now_ms, items))) == (now_ms, items)


def test_a_time_after_the_year_9999_is_refused() -> None:
    """Times of a deployment that are added to it stay within what documents hold."""
    for too_late in (MAX_HOST_TIME_MS + 1, 2**64 - 1):
        with pytest.raises(MalformedError, match="after the year 9999"):
            decode_batch(memoryview(encode_batch(too_late, [])))
        with pytest.raises(MalformedError, match="after the year 9999"):
            split_tick(memoryview(too_late.to_bytes(8)))


@given(cut=st.integers(0, 58))
def test_a_truncated_batch_is_refused(cut: int) -> None:
    """No prefix of a batch is a batch."""
    batch = encode_batch(1, [(1, b"abc"), (2, b"x" * 20)])
    assert len(batch) == 59
    with pytest.raises(MalformedError):
        decode_batch(memoryview(batch)[:cut])


def test_a_batch_with_too_many_items_or_trailing_bytes_is_refused() -> None:
    """Counts are checked before the list is made."""
    with pytest.raises(MalformedError, match="over the limit"):
        decode_batch(memoryview(encode_batch(1, [])[:-4] + (MAX_BATCH_ITEMS + 1).to_bytes(4)))
    with pytest.raises(MalformedError, match="bytes follow"):
        decode_batch(memoryview(encode_batch(1, []) + b"x"))


def test_a_package_chunk_comes_back_and_never_goes_over_its_total() -> None:
    """A chunk says where it belongs, within the whole."""
    digest = bytes(range(32))
    chunk = encode_chunk(digest, 5, 10, b"12345")
    assert decode_chunk(memoryview(chunk)) == (digest, 5, 10, b"12345")
    with pytest.raises(MalformedError, match="ends after its total"):
        decode_chunk(memoryview(encode_chunk(digest, 6, 10, b"12345")))
    with pytest.raises(MalformedError, match="too short"):
        decode_chunk(memoryview(chunk)[:40])


@pytest.mark.parametrize(
    ("sizes", "parts"),
    [
        ([], [0]),
        ([1, 2, 3], [3]),
        ([MAX_BATCH_BYTES], [1]),
        ([MAX_BATCH_BYTES, 0, 1], [2, 1]),
        ([MAX_BATCH_BYTES // 2] * 5, [2, 2, 1]),
        ([1, MAX_BATCH_BYTES + 1, 1], [1, 1, 1]),
    ],
)
def test_split_batches(sizes: list[int], parts: list[int]) -> None:
    """Envelopes go in as few frames as hold them, in their order; a large one goes alone."""
    zeros = bytes(MAX_BATCH_BYTES + 1)
    items = [(slot, memoryview(zeros)[:size]) for slot, size in enumerate(sizes)]
    found = list(split_batch(items))
    assert [len(part) for part in found] == parts
    assert [item for part in found for item in part] == items
