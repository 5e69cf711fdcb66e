"""Core, pure: what lies inside a seal: kinds of content, and padding. Spec: exchange.md, section 3.

A content is kind (1 byte) ‖ JSON length (4 bytes, big-endian) ‖ JSON ‖ binary part.

Lengths are padded by Padmé (Nikitin et al., PETS 2019): at most 12 % longer, and O(log log n) bits
of the length leak.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sealflow.errors import MalformedError
from sealflow.wire.fields import Fields
from sealflow.wire.strict_json import canonical_json

_HEAD: Final = struct.Struct(">BI")
MAX_MESSAGE_CHARACTERS: Final = 2000

Parts = Sequence[bytes | memoryview]
"""A message as pieces, which are sealed one after the other."""
_LENGTH_BYTES = 4


class ContentKind(enum.IntEnum):
    """What the JSON and the binary part are."""

    INFER = 1
    """A KServe V2 infer request or response in its binary form."""
    ERROR = 2
    """Why the request could not be answered: `{"code", "message"}`; only in replies."""
    RECEIPT = 3
    """Around one of the others: a request that asks for a receipt, a reply that has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One message, opened: JSON and the tensors' bytes behind it."""

    kind: ContentKind
    text: bytes | memoryview
    binary: memoryview


def content_parts(
    kind: ContentKind, text: bytes, binary: Iterable[bytes | memoryview] = ()
) -> list[bytes | memoryview]:
    """Write a message as pieces to be sealed one after the other, without joining them."""
    return [_HEAD.pack(kind, len(text)) + text, *binary]


def parse_content(data: memoryview) -> Content:
    """Take a message apart, without copying it.

    Raises: MalformedError.
    """
    if len(data) < _HEAD.size:
        msg = "content: too short"
        raise MalformedError(msg)
    number, length = _HEAD.unpack_from(data)
    end = _HEAD.size + length
    if end > len(data):
        msg = "content: JSON goes over the end"
        raise MalformedError(msg)
    try:
        kind = ContentKind(number)
    except ValueError as error:
        msg = "content: unknown kind"
        raise MalformedError(msg) from error
    return Content(kind=kind, text=data[_HEAD.size : end], binary=data[end:])


def error_parts(code: str, message: str) -> list[bytes | memoryview]:
    """Write an error reply."""
    text = canonical_json({"code": code, "message": message[:MAX_MESSAGE_CHARACTERS]})
    return content_parts(ContentKind.ERROR, text)


def parse_error(content: Content) -> tuple[str, str]:
    """Read code and message of an error reply.

    Raises: MalformedError.
    """
    fields = Fields.from_bytes(content.text, "error reply", ("code", "message"))
    return fields.text("code"), fields.text("message")


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
    """Return back the content, without copying it.

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


def receipt_request_parts(parts: Parts, salt: str) -> list[bytes | memoryview]:
    """Write a request that asks for a receipt. `salt`: 64 random hex digits, for this one."""
    return [*content_parts(ContentKind.RECEIPT, canonical_json({"salt": salt})), *parts]


def split_receipt_request(content: Content) -> tuple[Content, str | None]:
    """Take the request out of a content that may ask for a receipt; returns it with the salt.

    Raises: MalformedError.
    """
    if content.kind is not ContentKind.RECEIPT:
        return content, None
    salt = Fields.from_bytes(content.text, "receipt request", ("salt",)).digest("salt")
    return inner_content(content), salt


def inner_content(content: Content) -> Content:
    """Return the message within one of kind RECEIPT.

    Raises: MalformedError.
    """
    inner = parse_content(content.binary)
    if inner.kind is ContentKind.RECEIPT:
        raise MalformedError("receipt: one within another")
    return inner
