"""Parsers as the JavaScript client has them too, each with a plain value of what it read.

`tests/fuzz/differential.mjs` has the same targets. A verdict is `ok` with a digest of the value,
or `refused`; both sides must say the same of the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import struct
from typing import TYPE_CHECKING, Any, Final

from sealflow.documents.directory import Directory
from sealflow.documents.revocation import RevokedKind
from sealflow.errors import MalformedError, SealflowError
from sealflow.openinfer.binary import decode_request, decode_response
from sealflow.seal.content import parse_content
from sealflow.wire.domain import TrustDomain
from sealflow.wire.envelope import Envelope, ReplyHeader, RequestHeader
from sealflow.wire.strict_json import parse_object, parse_object_with_floats

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealflow.openinfer.tensor import Tensor

MAX_BODY_BYTES: Final = 2**20
REFUSED: Final = "refused"


def split_message(data: bytes) -> tuple[bytes, bytes]:
    """Return the JSON and the binary part of a message: two bytes say how long its JSON is."""
    end = 2 + int.from_bytes(data[:2])
    return data[2:end], data[end:]


def _envelope(data: bytes) -> object:
    found = Envelope.from_bytes(data, max_body_bytes=MAX_BODY_BYTES)
    kind = 1 if isinstance(found.header, RequestHeader) else 2
    kind = kind if isinstance(found.header, RequestHeader | ReplyHeader) else 3
    header = json.loads(found.header.to_bytes())
    return [kind, found.suite, header, found.key_blob, bytes(found.body)]


def _content(data: bytes) -> object:
    found = parse_content(memoryview(data))
    return [int(found.kind), bytes(found.text), bytes(found.binary)]


def _tensors(tensors: tuple[Tensor, ...]) -> list[object]:
    return [[each.name, str(each.datatype), list(each.shape), bytes(each.data)] for each in tensors]


def _request(data: bytes) -> object:
    found = decode_request(*split_message(data))
    outputs = [[each.name, each.classification] for each in found.outputs]
    return [_tensors(found.inputs), outputs, found.id]


def _response(data: bytes) -> object:
    found = decode_response(*split_message(data))
    return [found.model_name, found.model_version, _tensors(found.outputs), found.id]


def _directory(data: bytes) -> object:
    found = Directory.unverified_from_bytes(data)
    if any(key.suite.domain is not TrustDomain.SIMULATED for key in found.keys):
        raise MalformedError("a key of another trust domain")
    gone = found.revoked_ids(RevokedKind.MODEL), found.revoked_ids(RevokedKind.KEY)
    return [
        [found.deployment, found.manifest_digest, found.log_id, found.log_number],
        [found.log_digest, found.version, found.previous, found.issued_ms, found.expires_ms],
        [each.to_json() for each in found.models if each.digest not in gone[0]],
        [each.to_json() for each in found.keys if each.kid not in gone[1]],
    ]


TARGETS: Final[dict[str, Callable[[bytes], object]]] = {
    "json": lambda data: parse_object(data, "text"),
    "numbers": lambda data: parse_object_with_floats(data, "text"),
    "envelope": _envelope,
    "content": _content,
    "request": _request,
    "response": _response,
    "directory": _directory,
}


def verdict(target: str, data: bytes) -> str:
    """Return what this library says of the bytes. Any error that is not ours is a bug: raise it."""
    try:
        value = TARGETS[target](data)
    except SealflowError:
        return REFUSED
    return f"ok {hashlib.sha256(tagged(value)).hexdigest()}"


def tagged(value: Any) -> bytes:
    """Return a plain value as bytes that are equal for equal values only."""
    match value:
        case None | True | False:
            found = str(value).encode()
        case int():
            found = b"i%d;" % value
        case float():
            found = b"d" + struct.pack(">d", value)
        case str():
            found = b"s" + tagged(value.encode())
        case bytes():
            found = b"b%d:%s" % (len(value), value)
        case list() | tuple():
            found = b"[" + b"".join(map(tagged, value)) + b"]"
        case dict():
            members = sorted((key.encode(), each) for key, each in value.items())
            found = b"{" + b"".join(tagged(key) + tagged(each) for key, each in members) + b"}"
        case _:
            raise TypeError(type(value).__name__)
    return found
