"""Core, pure: domain separation: trust domains with their labels, and length-prefixed bytes."""

from __future__ import annotations

import enum
import functools
from typing import Final

from sealflow.errors import MalformedError

LENGTH_BYTES: Final = 4


def length_prefixed(*values: bytes) -> bytes:
    """Join values, each after its length in `LENGTH_BYTES` bytes, big-endian.

    Each under 2^32 bytes. Spec: LP in exchange.md and bundle.md.
    """
    return b"".join(len(value).to_bytes(LENGTH_BYTES) + value for value in values)


def read_length_prefixed(view: memoryview, limit: int) -> tuple[memoryview, memoryview]:
    """Split a value of at most `limit` bytes from what `length_prefixed` wrote; returns the rest.

    Raises: MalformedError.
    """
    end = LENGTH_BYTES + int.from_bytes(view[:LENGTH_BYTES])
    if len(view) < end or end - LENGTH_BYTES > limit:
        raise MalformedError("a part goes over the end or its limit")
    return view[LENGTH_BYTES:end], view[end:]


class TrustDomain(enum.Enum):
    """Hardware or simulated; the value starts every label: what one made fails in the other."""

    HARDWARE = b"sealflow/1"
    SIMULATED = b"sealflow-sim/1"

    @functools.cache
    def label(self, purpose: str) -> bytes:
        """The domain separation label for one purpose."""
        prefix: bytes = self.value
        return prefix + b" " + purpose.encode() + b"\0"
