"""Core, pure: the plaintext of sealed messages: kinds of content, and padding.

A content is kind (1 byte) ‖ JSON length (4 bytes, big-endian) ‖ JSON ‖ binary part. Padmé padding
(Nikitin et al., PETS 2019) makes it at most 12 % longer and leaks O(log log n) bits of its length.
Spec: exchange.md, sections 3 and 4; receipt.md, section 1.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sealflow.errors import MalformedError
from sealflow.wire.fields import OpenFields
from sealflow.wire.strict_json import canonical_json

_HEAD: Final = struct.Struct(">BI")
MAX_MESSAGE_CHARACTERS: Final = 2000
ERROR_BYTES: Final = 2048
"""The length of an error reply before padding, whatever its message. Spec: content.md, 7.6."""
_CUT_CHARACTERS: Final = 50

Parts = Sequence[bytes | memoryview]
"""A message as a sequence of pieces, so that large tensors are sealed without a copy."""
_LENGTH_BYTES = 4


class ContentKind(enum.IntEnum):
    """The kind of a content: how to read its JSON and its binary part."""

    INFER = 1
    """A KServe V2 infer request or response in its binary form."""
    ERROR = 2
    """The reason for a failed request, `{"code", "message"}`. Only in replies."""
    RECEIPT = 3
    """A wrapper: a request that asks for a receipt, or a reply that carries one."""
    USAGE = 4
    """The tenant authority's order for a record of use, or that record. Spec: tenants.md, 5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """An opened message. `text`: its JSON. `binary`: the bytes after the JSON."""

    kind: ContentKind
    text: bytes | memoryview
    binary: memoryview


def content_parts(
    kind: ContentKind, text: bytes, binary: Iterable[bytes | memoryview] = ()
) -> list[bytes | memoryview]:
    """Return a content as pieces, without joining them.

    `text`: the JSON. `binary`: the pieces of the binary part.
    """
    return [_HEAD.pack(kind, len(text)) + text, *binary]


def lengthen(parts: Parts, length: int) -> list[bytes | memoryview]:
    """Return a content of at least `length` bytes: spaces follow its JSON, where JSON allows them.

    `parts`: as `content_parts` returns them.
    """
    head, spaces = parts[0], b" " * (length - sum(map(len, parts)))
    kind, text_length = _HEAD.unpack_from(head)
    start = _HEAD.pack(kind, text_length + len(spaces))
    return [b"".join((start, head[_HEAD.size :], spaces)), *parts[1:]]


def parse_content(data: memoryview) -> Content:
    """Parse a content; the result refers to `data` without a copy.

    Raises: MalformedError.
    """
    if len(data) < _HEAD.size:
        msg = "content: too short"
        raise MalformedError(msg)
    number, length = _HEAD.unpack_from(data)
    end = _HEAD.size + length
    if end > len(data):
        msg = "content: the JSON length is over the length of the content"
        raise MalformedError(msg)
    try:
        kind = ContentKind(number)
    except ValueError as error:
        msg = "content: unknown kind"
        raise MalformedError(msg) from error
    return Content(kind=kind, text=data[_HEAD.size : end], binary=data[end:])


def error_parts(code: str, message: str) -> list[bytes | memoryview]:
    """Return an error reply of at most `ERROR_BYTES`; a longer `message` is cut."""
    for end in range(MAX_MESSAGE_CHARACTERS, -1, -_CUT_CHARACTERS):
        text = canonical_json({"code": code, "message": message[:end]})
        if len(text) <= ERROR_BYTES - _HEAD.size:
            break
    return content_parts(ContentKind.ERROR, text)


def parse_error(content: Content) -> tuple[str, str]:
    """Return code and message of an error reply.

    Raises: MalformedError.
    """
    fields = OpenFields.from_bytes(content.text, "error reply", ("code", "message"))
    return fields.text("code"), fields.text("message")


def padded_length(length: int) -> int:
    """Return the Padmé length for `length` bytes."""
    if length < 2:  # noqa: PLR2004 - log2(log2(length)) is undefined below 2
        return length
    exponent = length.bit_length() - 1
    zero_bits = exponent - exponent.bit_length()
    mask = (1 << zero_bits) - 1
    return (length + mask) & ~mask


def padding_for(length: int) -> tuple[bytes, bytes]:
    """Return the bytes before and after a content of `length` bytes: its length, and zeros."""
    head = length.to_bytes(_LENGTH_BYTES)
    whole = _LENGTH_BYTES + length
    return head, bytes(padded_length(whole) - whole)


def unpad(padded: memoryview) -> memoryview:
    """Return the content without its padding and without a copy.

    Raises: MalformedError unless the padding is exactly that of `padding_for`.
    """
    length = int.from_bytes(padded[:_LENGTH_BYTES])
    end = _LENGTH_BYTES + length
    if len(padded) != padded_length(end):
        msg = "padding: wrong length"
        raise MalformedError(msg)
    if padded[end:].tobytes().strip(b"\0"):
        msg = "padding: a byte is not zero"
        raise MalformedError(msg)
    return padded[_LENGTH_BYTES:end]


def receipt_request_parts(parts: Parts, salt: str) -> list[bytes | memoryview]:
    """Return a request that asks for a receipt.

    `parts`: the request. `salt`: 64 hex digits, drawn at random for this request.
    """
    return [*content_parts(ContentKind.RECEIPT, canonical_json({"salt": salt})), *parts]


def parse_request_content(padded: memoryview) -> tuple[Content, str | None]:
    """Parse the plaintext of a request, without a copy.

    Return its content, and the salt (64 hex digits) if it asks for a receipt.

    Raises: MalformedError if its padding or content is malformed.
    """
    content = parse_content(unpad(padded))
    if content.kind is not ContentKind.RECEIPT:
        return content, None
    salt = OpenFields.from_bytes(content.text, "receipt request", ("salt",)).digest("salt")
    return inner_content(content), salt


def inner_content(content: Content) -> Content:
    """Return the content within a content of kind RECEIPT.

    Raises: MalformedError, also if the inner content is of kind RECEIPT.
    """
    inner = parse_content(content.binary)
    if inner.kind is ContentKind.RECEIPT:
        raise MalformedError("receipt: it wraps another receipt")
    return inner
