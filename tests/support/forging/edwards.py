"""Points of Ed25519, for signatures that no honest signer makes. Source: RFC 8032, section 5.1."""

from __future__ import annotations

import hashlib

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, P) % P
_ROOT = pow(2, (P - 1) // 4, P)

Point = tuple[int, int]
IDENTITY: Point = (0, 1)


def add(one: Point, two: Point) -> Point:
    """Add two points."""
    (x1, y1), (x2, y2) = one, two
    product = _D * x1 * x2 * y1 * y2 % P
    return (
        (x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P,
        (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P,
    )


def times(scalar: int, point: Point) -> Point:
    """Multiply a point."""
    result = IDENTITY
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


def negate(point: Point) -> Point:
    """The point's negative."""
    return -point[0] % P, point[1]


def recover(y: int, sign: int) -> Point:
    """The point with a coordinate y and the sign of x."""
    square = (y * y - 1) * pow(_D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * _ROOT % P
    assert (x * x - square) % P == 0
    return (-x % P if x % 2 != sign else x), y


BASE = recover(4 * pow(5, -1, P) % P, 0)


def encode(point: Point) -> bytes:
    """The canonical encoding."""
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def secret_scalar(seed: bytes) -> tuple[int, bytes]:
    """The scalar of a private key, and the prefix that its signatures are drawn from."""
    hashed = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(hashed[:32], "little")
    return scalar & (1 << 254) - 8 | 1 << 254, hashed[32:]


def challenge(r: bytes, public: bytes, message: bytes) -> int:
    """The number k of a signature."""
    return int.from_bytes(hashlib.sha512(r + public + message).digest(), "little") % ORDER


def torsion() -> list[Point]:
    """The eight points of small order, beginning with the identity."""
    y = 2
    while True:
        try:
            point = times(ORDER, recover(y, 0))
        except AssertionError:
            y += 1
            continue
        if times(4, point) != IDENTITY:
            return [times(each, point) for each in range(8)]
        y += 1
