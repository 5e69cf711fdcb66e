"""ML-KEM-768 encapsulation with given randomness, for vectors: libraries draw their own.

Source: FIPS 203, algorithms 6 to 14, 17. Slow, and not for secrets.
"""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Q = 3329
N = 256
K = 3
Polynomial = list[int]


def _reversed_bits(number: int) -> int:
    return int(f"{number:07b}"[::-1], 2)


ZETAS = [pow(17, _reversed_bits(i), Q) for i in range(128)]
GAMMAS = [pow(17, 2 * _reversed_bits(i) + 1, Q) for i in range(128)]


def encapsulate(public: bytes, randomness: bytes) -> tuple[bytes, bytes]:
    """Return shared secret and ciphertext. `randomness`: m, 32 bytes."""
    hashed = hashlib.sha3_512(randomness + hashlib.sha3_256(public).digest()).digest()
    return hashed[:32], _encrypt(public, randomness, hashed[32:])


def _encrypt(public: bytes, message: bytes, coins: bytes) -> bytes:
    vector = [_unpack(public[384 * i : 384 * (i + 1)], 12) for i in range(K)]
    rho = public[384 * K :]
    y, e1 = ([_noise(coins, K * part + i) for i in range(K)] for part in range(2))
    e2 = _noise(coins, 2 * K)
    y_hat = [_ntt(each) for each in y]
    u = []
    for i in range(K):
        column = [_uniform(rho + bytes([i, j])) for j in range(K)]
        u.append(_add(_inverse_ntt(_dot(column, y_hat)), e1[i]))
    bits = [(Q + 1) // 2 * (message[i // 8] >> i % 8 & 1) for i in range(N)]
    v = _add(_add(_inverse_ntt(_dot(vector, y_hat)), e2), bits)
    return b"".join(_pack(_compress(each, 10), 10) for each in u) + _pack(_compress(v, 4), 4)


def _noise(coins: bytes, number: int) -> Polynomial:
    stream = hashlib.shake_256(coins + bytes([number])).digest(128)
    bits = [stream[i // 8] >> i % 8 & 1 for i in range(4 * N)]
    return [sum(bits[4 * i : 4 * i + 2]) - sum(bits[4 * i + 2 : 4 * i + 4]) for i in range(N)]


def _uniform(seed: bytes) -> Polynomial:
    return list(islice(_candidates(hashlib.shake_128(seed).digest(3 * 1024)), N))


def _candidates(stream: bytes) -> Iterator[int]:
    for at in range(0, len(stream), 3):
        first, second, third = stream[at : at + 3]
        for each in (first + 256 * (second % 16), second // 16 + 16 * third):
            if each < Q:
                yield each


def _ntt(polynomial: Polynomial) -> Polynomial:
    f, i, length = list(polynomial), 1, 128
    while length >= 2:
        for start in range(0, N, 2 * length):
            for j in range(start, start + length):
                t = ZETAS[i] * f[j + length]
                f[j], f[j + length] = (f[j] + t) % Q, (f[j] - t) % Q
            i += 1
        length //= 2
    return f


def _inverse_ntt(polynomial: Polynomial) -> Polynomial:
    f, i, length = list(polynomial), 127, 2
    while length <= 128:
        for start in range(0, N, 2 * length):
            for j in range(start, start + length):
                t = f[j]
                f[j] = (t + f[j + length]) % Q
                f[j + length] = ZETAS[i] * (f[j + length] - t) % Q
            i -= 1
        length *= 2
    return [each * 3303 % Q for each in f]


def _dot(left: list[Polynomial], right: list[Polynomial]) -> Polynomial:
    total = [0] * N
    for f, g in zip(left, right, strict=True):
        for i, gamma in enumerate(GAMMAS):
            a0, a1, b0, b1 = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
            total[2 * i] = (total[2 * i] + a0 * b0 + a1 * b1 * gamma) % Q
            total[2 * i + 1] = (total[2 * i + 1] + a0 * b1 + a1 * b0) % Q
    return total


def _add(left: Polynomial, right: Polynomial) -> Polynomial:
    return [(a + b) % Q for a, b in zip(left, right, strict=True)]


def _compress(polynomial: Polynomial, bits: int) -> Polynomial:
    return [((each << bits) + Q // 2) // Q % (1 << bits) for each in polynomial]


def _pack(polynomial: Polynomial, bits: int) -> bytes:
    whole = sum(each << bits * i for i, each in enumerate(polynomial))
    return whole.to_bytes(N * bits // 8, "little")


def _unpack(packed: bytes, bits: int) -> Polynomial:
    whole = int.from_bytes(packed, "little")
    return [whole >> bits * i & (1 << bits) - 1 for i in range(N)]
