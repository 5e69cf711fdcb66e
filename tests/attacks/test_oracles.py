"""Attacks that listen to how something fails: row 49 of docs/threat-model.md."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sealflow.errors import OpenError, RefusalCode
from sealflow.wire.envelope import PREFIX_LENGTH, Envelope, encode_refusal
from tests.support.enclaves.hosted_enclaves import LIMIT
from tests.support.sealing.sealed_sessions import parse_envelope, start_session
from tests.support.trusted.worker import Worker, negation_model, seal_call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.enclaves.hosted_enclaves import HostedEnclaves

SALT, COMMITMENT, TAG, CHUNK = 24, 32, 16, 16 * 1024
ROWS = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Where the sealed parts of an envelope lie."""

    key_blob: range
    salt: range
    commitment: range
    first_chunk: range
    first_tag: range
    last_tag: range

    @classmethod
    def of(cls, envelope: bytes) -> Parts:
        """Measure an envelope whose body has several chunks."""
        parts = Envelope.from_bytes(envelope, max_body_bytes=LIMIT)
        blob = len(parts.prefix_and_header)
        body = blob + len(parts.key_blob)
        chunks = body + SALT + COMMITMENT
        assert len(envelope) > chunks + 2 * CHUNK
        return cls(
            key_blob=range(blob, body),
            salt=range(body, body + SALT),
            commitment=range(body + SALT, chunks),
            first_chunk=range(chunks, chunks + CHUNK),
            first_tag=range(chunks + CHUNK, chunks + CHUNK + TAG),
            last_tag=range(len(envelope) - TAG, len(envelope)),
        )

    def each(self) -> Iterator[tuple[str, range]]:
        """All of them by name."""
        for name in self.__slots__:
            yield name, getattr(self, name)


def flipped(envelope: bytes, at: int) -> bytes:
    """Flip a bit."""
    changed = bytearray(envelope)
    changed[at] ^= 0x10
    return bytes(changed)


def test_49_one_answer(site: HostedEnclaves) -> None:
    """A worker process answers whatever does not open with the same bytes, wherever it fails.

    Changed, taken from another request or session, or sealed to a header that is not this one.
    """
    worker = site.worker()
    call, other = site.call(rows=ROWS), site.call(rows=ROWS)
    envelope = call.envelope
    bent = [
        flipped(envelope, at)
        for _, where in Parts.of(envelope).each()
        for at in where[:: max(1, len(where) // 16)]
    ]
    start = len(Envelope.from_bytes(envelope, max_body_bytes=LIMIT).prefix_and_header)
    bent.append(envelope[:start] + other.envelope[start:])
    stranger = start_session()
    foreign = parse_envelope(stranger.call(binary=bytes(100)).envelope)
    for name, value in (
        (b'"sid":"', call.header.session_id),
        (b'"deadline_ms":', str(call.header.deadline_ms)),
    ):
        digit = envelope.index(name, PREFIX_LENGTH) + len(name) + len(value) - 1
        bent.append(envelope[:digit] + (b"1" if envelope[digit] != ord("1") else b"2")
                    + envelope[digit + 1 :])  # fmt: skip
    assert len(foreign.key_blob) == len(
        Envelope.from_bytes(envelope, max_body_bytes=LIMIT).key_blob
    )
    blob = Parts.of(envelope).key_blob
    bent.append(envelope[: blob.start] + bytes(foreign.key_blob) + envelope[blob.stop :])
    answers = Counter(worker.serve(bent))
    assert answers == {encode_refusal(RefusalCode.NOT_OPENED, call.request_id): len(bent)}
    assert worker.refusals(envelope) == [None]


def test_49_one_error() -> None:
    """A reply that does not open is one error with one text, and nothing stands behind it."""
    both = start_session()
    call = both.call()
    reply = both.answer(call.envelope, binary=bytes(3 * CHUNK))
    texts = set()
    for at in range(
        len(Envelope.from_bytes(reply, max_body_bytes=LIMIT).prefix_and_header), len(reply), 301
    ):
        with pytest.raises(OpenError) as caught:
            call.open_reply(parse_envelope(flipped(reply, at)))
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
        texts.add(str(caught.value))
    assert texts == {str(OpenError())}
    call.open_reply(parse_envelope(reply))


def test_49_same_steps() -> None:
    """Within one part, a worker does the same whichever byte is wrong: nothing to take time by.

    Comparing tags and commitments in constant time is the library's; that it is asked is shown.
    """
    model = negation_model()
    call = seal_call(model, np.ones((ROWS, 4), np.float32))
    refused(flipped(call.envelope, len(call.envelope) - 1))
    for name, where in Parts.of(call.envelope).each():
        steps = {steps_of(flipped(call.envelope, at)) for at in where[:: max(1, len(where) // 32)]}
        assert len(steps) == 1, name


def refused(envelope: bytes) -> None:
    """Have a worker that knows the session refuse an envelope."""
    model = negation_model()
    worker = Worker().serve(model).send(seal_call(model).envelope, envelope)
    assert worker.finish().refusal(1) is RefusalCode.NOT_OPENED


def steps_of(envelope: bytes) -> tuple[tuple[str, int], ...]:
    """Every line of Sealflow's that runs until an envelope is refused, in order."""
    lines: list[tuple[str, int]] = []

    def trace(frame: Any, event: str, _: Any) -> Any:
        name = frame.f_globals.get("__name__", "")
        if not name.startswith("sealflow."):
            return None
        if event == "line":
            lines.append((name, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        refused(envelope)
    finally:
        sys.settrace(before)
    return tuple(lines)
