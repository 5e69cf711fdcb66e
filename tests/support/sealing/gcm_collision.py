"""What AES-GCM does not promise: one ciphertext with one tag that two keys open.

Source: NIST SP 800-38D; the attack is that of Dodis, Grubbs, Ristenpart and Woodage (2018).
"""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

_BLOCK = 16
_BITS = 128
_REDUCTION = 0xE1 << 120


def chunk_of_two_keys(one: tuple[bytes, bytes], two: tuple[bytes, bytes]) -> bytes:
    """Make one block and its tag that are genuine under both keys, each with its nonce.

    With H the hash key, L the length block and E the tag's mask, a block c has the tag
    c H^2 + L H + E; it is the same for both where c = (L (H1 + H2) + E1 + E2) / (H1 + H2)^2.
    """
    (hash_one, mask_one), (hash_two, mask_two) = (_hash_key_and_mask(*each) for each in (one, two))
    length = _BLOCK * 8
    sum_of_keys = hash_one ^ hash_two
    wanted = _times(length, sum_of_keys) ^ mask_one ^ mask_two
    block = _times(wanted, _inverse(_times(sum_of_keys, sum_of_keys)))
    tag = _times(_times(block, hash_one) ^ length, hash_one) ^ mask_one
    return block.to_bytes(_BLOCK) + tag.to_bytes(_BLOCK)


def _hash_key_and_mask(key: bytes, nonce: bytes) -> tuple[int, int]:
    blocks = bytes(_BLOCK) + nonce + (1).to_bytes(4)
    encrypted = Cipher(AES(key), ECB()).encryptor().update(blocks)  # noqa: S305 - a part of GCM
    return int.from_bytes(encrypted[:_BLOCK]), int.from_bytes(encrypted[_BLOCK:])


def _times(left: int, right: int) -> int:
    """Multiply in GF(2^128), whose first bit is the lowest power."""
    product = 0
    for bit in range(_BITS - 1, -1, -1):
        if left >> bit & 1:
            product ^= right
        right = right >> 1 ^ (_REDUCTION if right & 1 else 0)
    return product


def _inverse(value: int) -> int:
    """Give value^(2^128 - 2)."""
    result = 1 << _BITS - 1
    for _ in range(_BITS - 1):
        value = _times(value, value)
        result = _times(result, value)
    return result
