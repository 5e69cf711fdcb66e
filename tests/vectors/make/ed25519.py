"""Writes ed25519.json: signatures on which libraries differ."""

from __future__ import annotations

from itertools import count
from typing import Any

from sealflow.wire.domain import TrustDomain
from tests.support.forging.edwards import (
    BASE,
    IDENTITY,
    ORDER,
    P,
    Point,
    add,
    challenge,
    encode,
    negate,
    secret_scalar,
    times,
    torsion,
)
from tests.vectors.make.evidence_parts import seed, signing_key
from tests.vectors.make.files import VectorFile

RULE = "exchange 9.3"
MESSAGE = TrustDomain.SIMULATED.label("order") + b"{}"


def files() -> list[VectorFile]:
    """Make the file."""
    file = VectorFile(
        path="ed25519.json",
        description="Ed25519: `public`, `message` and `signature` in hex. All signatures of all "
        "documents are checked by this one rule.",
    )

    def case(name: str, expect: str, description: str, public: bytes, signature: bytes,
             message: bytes = MESSAGE) -> None:  # fmt: skip
        file.case(name, RULE, expect, description, public=public.hex(), message=message.hex(),
                  signature=signature.hex())  # fmt: skip

    key = signing_key("owner")
    public, good = key.public_key().public_bytes_raw(), key.sign(MESSAGE)
    scalar, _ = secret_scalar(seed("owner"))
    point = times(scalar, BASE)
    bad = "signature"
    case("good", "ok", "genuine", public, good)
    case("empty message", "ok", "genuine", public, key.sign(b""), b"")
    case("message", bad, "another message", public, good, MESSAGE + b"\0")
    case("R flipped", bad, "one bit", public, bytes([good[0] ^ 1]) + good[1:])
    case("S flipped", bad, "one bit", public, good[:32] + bytes([good[32] ^ 1]) + good[33:])
    for size in (0, 63, 65):
        case(f"signature of {size} bytes", bad, "64 bytes", public, good.ljust(65, b"\0")[:size])
    for size in (0, 31, 33):
        case(f"key of {size} bytes", bad, "32 bytes", public.ljust(33, b"\0")[:size], good)
    s = int.from_bytes(good[32:], "little")
    for times_ in (1, 2, 8):
        high = s + times_ * ORDER
        case(
            f"S + {times_} L", bad, "S is below L", public, good[:32] + high.to_bytes(32, "little")
        )
    case("S of L", bad, "S is below L", public, encode(IDENTITY) + ORDER.to_bytes(32, "little"))
    small = torsion()
    for number, low in enumerate(small):
        found = _forged(low, encode(low), small[0])
        case(f"A of small order {number}", bad, "a key of small order", encode(low), *found)
    for name, encoded, low in (
        ("identity, y + p", (1 + P).to_bytes(32, "little"), IDENTITY),
        ("identity, sign of x", (1 | 1 << 255).to_bytes(32, "little"), IDENTITY),
        ("identity, y + p and sign", (1 + P | 1 << 255).to_bytes(32, "little"), IDENTITY),
        ("order 2, sign of x", (P - 1 | 1 << 255).to_bytes(32, "little"), (0, P - 1)),
        ("order 4, y + p", P.to_bytes(32, "little"), _with_y(small, 0, 0)),
        ("order 4, y + p and sign", (P | 1 << 255).to_bytes(32, "little"), _with_y(small, 0, 1)),
    ):
        case(f"A not canonical: {name}", bad, "a key in another encoding", encoded,
             *_forged(low, encoded, small[0]))  # fmt: skip
    case("A not on the curve", bad, "y = 2 has no x", (2).to_bytes(32, "little"), good)
    _mixed_cases(case, scalar, point, small)
    return [file]


def _with_y(points: list[Point], y: int, sign: int) -> Point:
    return next(each for each in points if each[1] == y and each[0] & 1 == sign)


def _forged(low: Point, encoded: bytes, _identity: Point) -> tuple[bytes, bytes]:
    """Sign for a key of small order: without any secret, for a message that suits."""
    s = 7
    for number in count():
        message = MESSAGE + number.to_bytes(4)
        r = encode(times(s, BASE))
        k = challenge(r, encoded, message)
        if add(times(s, BASE), negate(times(k, low))) == times(s, BASE):
            return r + s.to_bytes(32, "little"), message
    raise AssertionError


def _mixed_cases(case: Any, scalar: int, point: Point, small: list[Point]) -> None:
    """Keys and R with a part of small order: the equation without the cofactor decides."""
    bad = "signature"
    mixed = encode(add(point, small[1]))
    done: set[bool] = set()
    for number in count():
        message = MESSAGE + number.to_bytes(4)
        r = number + 1000
        encoded = encode(times(r, BASE))
        k = challenge(encoded, mixed, message)
        even = k % 8 == 0
        if even not in done:
            done.add(even)
            s = (r + k * scalar) % ORDER
            signature = encoded + s.to_bytes(32, "little")
            if even:
                case("A of mixed order, k divided by 8", "ok", "the equation holds", mixed,
                     signature, message)  # fmt: skip
            else:
                case(
                    "A of mixed order", bad, "it holds times eight only", mixed, signature, message
                )
        if len(done) == 2:
            break
    public = encode(point)
    for number, low in enumerate(small[1:], 1):
        r = 5000
        encoded = encode(add(times(r, BASE), low))
        s = (r + challenge(encoded, public, MESSAGE) * scalar) % ORDER
        case(f"R of mixed order {number}", bad, "it holds times eight only", public,
             encoded + s.to_bytes(32, "little"))  # fmt: skip
    for name, encoded, expect in (
        ("R identity", encode(IDENTITY), "ok"),
        ("R not canonical: y + p", (1 + P).to_bytes(32, "little"), bad),
        ("R not canonical: sign of x", (1 | 1 << 255).to_bytes(32, "little"), bad),
    ):
        s = challenge(encoded, public, MESSAGE) * scalar % ORDER
        case(name, expect, "R is the identity", public, encoded + s.to_bytes(32, "little"))
