"""Core, pure: what lies inside a seal, before padding. Spec: exchange.md, section 3.

kind (1 byte) ‖ JSON length (4 bytes, big-endian) ‖ JSON ‖ binary part.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sealflow.errors import MalformedError
from sealflow.wire.strict_json import canonical, parse_object, require_keys

_HEAD: Final = struct.Struct(">BI")
MAX_MESSAGE_CHARACTERS: Final = 2000

Parts = Sequence[bytes | memoryview]
"""A message as pieces, which are sealed one after the other."""


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
    text = canonical({"code": code, "message": message[:MAX_MESSAGE_CHARACTERS]})
    return content_parts(ContentKind.ERROR, text)


def parse_error(content: Content) -> tuple[str, str]:
    """Read code and message of an error reply.

    Raises: MalformedError.
    """
    value = parse_object(content.text, "error reply")
    require_keys(value, ("code", "message"), "error reply")
    code, message = value["code"], value["message"]
    if not isinstance(code, str) or not isinstance(message, str):
        msg = "error reply: code and message are not strings"
        raise MalformedError(msg)
    return code, message
