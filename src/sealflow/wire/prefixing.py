"""Core, pure, stdlib only: values one after the other, so that no two lists read the same."""

from __future__ import annotations

from typing import Final

LENGTH_BYTES: Final = 4


def prefixed(*values: bytes) -> bytes:
    """Join values, each after its length in `LENGTH_BYTES` bytes, big-endian.

    Each under 2^32 bytes. Spec: LP in exchange.md and bundle.md.
    """
    return b"".join(len(value).to_bytes(LENGTH_BYTES) + value for value in values)
