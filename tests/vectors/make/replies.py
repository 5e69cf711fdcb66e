"""Writes replies.json and padding.json: what binds a reply to its request, and padding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sealflow.seal.keys import Suite
from sealflow.wire.envelope import RequestHeader
from sealflow.wire.ids import ModelRef, RequestId, SessionId
from tests.support.forging.sealing import ForgedRequest, ForgedSession, content, pad
from tests.vectors.make.evidence_parts import sealing_key, text
from tests.vectors.make.files import VectorFile

RESPONSE = b'{"model_name":"m","outputs":[]}'
CONTENT = content(1, RESPONSE)
DIGEST = "d1" * 32
BINDING = "exchange 7.3"


def session(suite: Suite, name: str = "replies") -> ForgedSession:
    """A session of an epoch key."""
    return ForgedSession(key=sealing_key("epoch", suite), name=name)


def header_of(forged: ForgedSession, rid: str = "01" * 16, **changes: Any) -> RequestHeader:
    """A request's header."""
    values: dict[str, Any] = {
        "key_id": forged.key.public_key.key_id,
        "session_id": SessionId(forged.session_id),
        "request_id": RequestId(rid),
        "model": ModelRef(name="m", version="1"),
        "model_digest": DIGEST,
        "deadline_ms": 1_800_000_000_000,
        **changes,
    }
    return RequestHeader(**values)


def request_of(forged: ForgedSession, rid: str = "01" * 16, **changes: Any) -> ForgedRequest:
    """A request of a session."""
    return forged.request(header_of(forged, rid, **changes), pad(content(1, b'{"inputs":[]}')))


def reply_cases(file: VectorFile, suite: Suite) -> None:
    """Every binding alone; the seal itself is genuine."""
    mine = session(suite)
    asked, second = request_of(mine), request_of(mine, "02" * 16)
    world = "simulated" if mine.key.suite.value & 0xF000 else "hardware"
    flag = world == "simulated"
    other_kid = sealing_key("another", suite).public_key.key_id
    good = asked.reply(pad(CONTENT))
    hardware = Suite.SIMULATED_X25519 if suite is Suite.X25519 else Suite.X25519

    def case(name: str, expect: str, description: str, reply: bytes, **more: Any) -> None:
        file.case(
            f"{world}: {name}", BINDING, expect, description, request=text(asked.envelope),
            session_secret=mine.secret.hex(), reply=text(reply), **more,
        )  # fmt: skip

    padded = pad(CONTENT)
    case("good", "ok", "the genuine reply", good, content=text(CONTENT))
    case(
        "error",
        "ok",
        "a genuine error",
        asked.reply(pad(content(2, b'{"code":"x","message":""}'))),
        content=text(content(2, b'{"code":"x","message":""}')),
    )
    for name, description, reply in (
        ("suite", "another suite's number", asked.reply(padded, suite=int(hardware))),
        ("rid", "another request's id", asked.reply(padded, request_id="02" * 16)),
        ("kid", "another key's id", asked.reply(padded, key_id=other_kid)),
        (
            "request digest",
            "another request's digest",
            asked.reply(padded, request_digest="ab" * 32),
        ),
        (
            "request digest in the key",
            "sealed for another request's ciphertext",
            asked.reply(padded, digest=second.digest),
        ),
        ("model digest", "another model", asked.reply(padded, model_digest="d2" * 32)),
        (
            "simulated",
            "the flag of the other trust domain",
            asked.reply(padded, simulated=not flag),
        ),
        (
            "second request's reply",
            "genuine, for another request of the session",
            second.reply(padded),
        ),
        (
            "second request's ciphertext",
            "this id, and the other one's digest",
            replace(asked, digest=second.digest).reply(padded),
        ),
        (
            "another session",
            "sealed with another secret",
            asked.reply(padded, secret=session(suite, "other").secret),
        ),
        ("request itself", "the request, sent back", asked.envelope),
    ):
        case(name, "reply", description, reply)
    start = 16 + int.from_bytes(good[8:10])
    for name, at in (
        ("nonce", good.index(b'"nonce":"') + 12),
        ("instance", good.index(b'"instance":"') + 12),
        ("salt", start),
        ("commitment", start + 24),
        ("body", start + 60),
        ("tag", len(good) - 1),
    ):
        case(f"{name} changed", "reply", "one character or byte after it was sealed",
             _changed(good, at))  # fmt: skip
    case("header spelled anew", "reply", "the header's bytes are bound",
         _spaced(good))  # fmt: skip
    case("cut", "reply", "the last chunk is missing", _cut(good))


def _changed(data: bytes, at: int) -> bytes:
    new = data[at] ^ 1
    return data[:at] + bytes([new]) + data[at + 1 :]


def _spaced(envelope: bytes) -> bytes:
    length = int.from_bytes(envelope[8:10])
    header = envelope[16 : 16 + length].replace(b",", b" ,", 1)
    return (
        envelope[:8] + len(header).to_bytes(2) + envelope[10:16] + header + envelope[16 + length :]
    )


def _cut(envelope: bytes) -> bytes:
    body = int.from_bytes(envelope[12:16]) - 16
    return envelope[:12] + body.to_bytes(4) + envelope[16:-16]


def padding_cases(file: VectorFile) -> None:
    """Padmé, and what is not."""

    def case(name: str, expect: str, description: str, padded: bytes, **more: Any) -> None:
        file.case(name, "exchange 4", expect, description, padded=text(padded), **more)

    for size in (0, 1, 2, 3, 4, 5, 12, 13, 27, 28, 60, 61, 124, 250, 255, 256, 300, 1000, 1020,
                 1021, 4000):  # fmt: skip
        inside = bytes([each % 251 + 1 for each in range(size)])
        case(f"{size} bytes", "ok", "padded to the length of the formula", pad(inside),
             content=text(inside))  # fmt: skip
    inside = b"\x07" * 61
    good = pad(inside)
    end = 4 + len(inside)
    for name, description, bent in (
        ("empty", "no length", b""),
        ("three bytes", "no length", bytes(3)),
        ("one zero less", "shorter than the formula says", good[:-1]),
        ("one zero more", "longer than the formula says", good + b"\0"),
        ("no padding", "nothing behind the content", good[:end]),
        ("next size", "padded to the next length", good + bytes(len(good) - end + 1)),
        ("first byte", "the first byte of the padding is not zero", _put(good, end)),
        ("last byte", "the last byte of the padding is not zero", _put(good, len(good) - 1)),
        (
            "length over",
            "the content is said to be longer than all",
            (10**6).to_bytes(4) + good[4:],
        ),
        ("length of 2^32 - 1", "the longest length", b"\xff" * 4 + good[4:]),
        (
            "length one more",
            "a zero of the padding belongs to the content",
            (len(inside) + 8).to_bytes(4) + good[4:],
        ),
    ):
        case(name, "malformed", description, bent)


def _put(data: bytes, at: int) -> bytes:
    return data[:at] + b"\1" + data[at + 1 :]


def files() -> list[VectorFile]:
    """Make the files."""
    replies = VectorFile(
        path="replies.json",
        description="A sealed request, its session's secret, and an envelope that claims to be the "
        "reply. All but the last cases are sealed with the session's secret, so only the named "
        "binding is wrong. `content` is what opens.",
    )
    padding = VectorFile(
        path="padding.json",
        description="Padded contents, and the content within.",
    )
    for suite in (Suite.X25519, Suite.SIMULATED_X25519):
        request = request_of(session(suite))
        replies.share(f"request {suite.name.lower()}", text(request.envelope))
        reply_cases(replies, suite)
    padding_cases(padding)
    return [replies, padding]
