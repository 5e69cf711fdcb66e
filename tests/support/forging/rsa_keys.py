"""RSA keys and PSS signatures that are the same in every run, without stored keys.

Source of the encoding: RFC 8017, 9.1.1. These keys protect nothing.
"""

from __future__ import annotations

import hashlib
from functools import cache
from itertools import count

from cryptography.hazmat.primitives.asymmetric import rsa

_BITS = 2048
_EXPONENT = 65537


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """A key by name."""
    p, q = (_prime(f"{name} {each}") for each in ("p", "q"))
    d = pow(_EXPONENT, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(_EXPONENT, p * q)
    numbers = rsa.RSAPrivateNumbers(
        p=p, q=q, d=d, dmp1=d % (p - 1), dmq1=d % (q - 1), iqmp=pow(q, -1, p), public_numbers=public
    )
    return numbers.private_key()


def _prime(name: str) -> int:
    bits = _BITS // 2
    drawn = int.from_bytes(hashlib.shake_256(b"forged rsa " + name.encode()).digest(bits // 8))
    start = drawn | 3 << bits - 2 | 1
    small = [each for each in range(3, 2000, 2) if all(each % by for by in range(3, each, 2))]
    for step in count():
        candidate = start + 2 * step
        if (
            all(candidate % each for each in small)
            and pow(2, candidate - 1, candidate) == 1
            and pow(3, candidate - 1, candidate) == 1
            and (candidate - 1) % _EXPONENT
        ):
            return candidate
    raise AssertionError


def pss_signature(name: str, message: bytes, algorithm: str = "sha384") -> bytes:
    """Sign with RSA-PSS; the salt is a hash of the message."""
    numbers = rsa_key(name).private_numbers()
    digest = hashlib.new(algorithm, message).digest()
    size = len(digest)
    salt = hashlib.new(algorithm, b"salt " + digest).digest()
    hashed = hashlib.new(algorithm, bytes(8) + digest + salt).digest()
    block = bytes(_BITS // 8 - 2 * size - 2) + b"\1" + salt
    mask = b"".join(
        hashlib.new(algorithm, hashed + number.to_bytes(4)).digest()
        for number in range(len(block) // size + 1)
    )[: len(block)]
    masked = bytearray(left ^ right for left, right in zip(block, mask, strict=True))
    masked[0] &= 0x7F
    encoded = int.from_bytes(bytes(masked) + hashed + b"\xbc")
    return pow(encoded, numbers.d, numbers.public_numbers.n).to_bytes(_BITS // 8)
