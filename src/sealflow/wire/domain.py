"""Core, pure: domain separation by the labels of trust domains, and length-prefixed bytes."""

from __future__ import annotations

import enum
import functools
from typing import Final

from sealflow.errors import MalformedError

LENGTH_BYTES: Final = 4


def length_prefixed(*values: bytes) -> bytes:
    """Return the values joined, each after its length in `LENGTH_BYTES` bytes, big-endian.

    Each value must be shorter than 2^32 bytes. Spec: LP in exchange.md and bundle.md.
    """
    return b"".join(len(value).to_bytes(LENGTH_BYTES) + value for value in values)


def read_length_prefixed(view: memoryview, limit: int) -> tuple[memoryview, memoryview]:
    """Return the first length-prefixed value, of at most `limit` bytes, and the rest of `view`.

    Raises: MalformedError.
    """
    end = LENGTH_BYTES + int.from_bytes(view[:LENGTH_BYTES])
    if len(view) < end or end - LENGTH_BYTES > limit:
        raise MalformedError(f"a part is over its limit of {limit} bytes, or over the end")
    return view[LENGTH_BYTES:end], view[end:]


class TrustDomain(enum.Enum):
    """Hardware or simulation: a value made in one domain is refused in the other.

    The value starts the label of every signature, hash and key (docs/spec/exchange.md).

    Example:
        >>> OwnerKey.generate(TrustDomain.HARDWARE).domain.name
        'HARDWARE'
    """

    HARDWARE = b"sealflow/1"
    SIMULATED = b"sealflow-sim/1"

    @functools.cache
    def label(self, purpose: str) -> bytes:
        """Return the domain separation label for one purpose.

        Args:
            purpose: What is signed, hashed or derived, such as `receipt`.

        Returns:
            The label's bytes, which end with a zero.
        """
        prefix: bytes = self.value
        return prefix + b" " + purpose.encode() + b"\0"
