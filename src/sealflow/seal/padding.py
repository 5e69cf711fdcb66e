"""Core, pure: hide the length of what is sealed. Spec: exchange.md, section 4.

Padmé (Nikitin et al., PETS 2019): at most 12 % longer, and O(log log n) bits of the length leak.
"""

from __future__ import annotations

from sealflow.errors import MalformedError

_LENGTH_BYTES = 4


def padded_length(length: int) -> int:
    """The length that `length` bytes are padded to."""
    if length < 2:  # noqa: PLR2004 - log2 of log2 needs two
        return length
    exponent = length.bit_length() - 1
    zero_bits = exponent - exponent.bit_length()
    mask = (1 << zero_bits) - 1
    return (length + mask) & ~mask


def padding_for(length: int) -> tuple[bytes, bytes]:
    """What goes before and after content of `length` bytes: its length, and zeros."""
    head = length.to_bytes(_LENGTH_BYTES)
    whole = _LENGTH_BYTES + length
    return head, bytes(padded_length(whole) - whole)


def unpad(padded: memoryview) -> memoryview:
    """Give back the content, without copying it.

    Raises: MalformedError unless the padding is exactly what `padding_for` makes.
    """
    length = int.from_bytes(padded[:_LENGTH_BYTES])
    end = _LENGTH_BYTES + length
    if len(padded) < _LENGTH_BYTES or len(padded) != padded_length(end):
        msg = "padding: wrong length"
        raise MalformedError(msg)
    if padded[end:].tobytes().strip(b"\0"):
        msg = "padding: not zero"
        raise MalformedError(msg)
    return padded[_LENGTH_BYTES:end]
