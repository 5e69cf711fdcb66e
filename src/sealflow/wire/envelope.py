"""Core, pure, stdlib only: envelopes, the readable outside of sealed messages. Spec: envelope.md.

prefix (16 bytes) ‖ header (strict JSON) ‖ key blob ‖ body. The parser compares every length with
its limit before it reads or allocates that many bytes.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import Final, Self

from sealflow.errors import EnvelopeTooLargeError, MalformedError, NewerFormatError, RefusalCode
from sealflow.wire.fields import Fields, OpenFields
from sealflow.wire.ids import (
    KeyId,
    ModelRef,
    RequestId,
    SessionId,
    parse_key_id,
    parse_request_id,
    parse_session_id,
)
from sealflow.wire.strict_json import canonical_json, parse_object

MAGIC: Final = b"SFL1"
PREFIX_LENGTH: Final = 16
MAX_HEADER_BYTES: Final = 4096
MAX_KEY_BLOB_BYTES: Final = 2048
DEFAULT_MAX_BODY_BYTES: Final = 16 * 2**20
MEDIA_TYPE: Final = "application/vnd.sealflow.envelope"

_PREFIX = struct.Struct(">4sBBHHHI")
_REQUEST_KEYS = ("deadline_ms", "kid", "model", "model_digest", "rid", "sid", "version")
_REPLY_KEYS = ("instance", "kid", "model_digest", "nonce", "request_digest", "rid", "simulated")


class Kind(enum.IntEnum):
    """The kind of an envelope."""

    REQUEST = 1
    REPLY = 2
    REFUSAL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHeader:
    """The readable header of a request; it does not identify the sender.

    The host uses it to route and expire requests. `deadline_ms`: Unix ms.
    """

    key_id: KeyId
    session_id: SessionId
    request_id: RequestId
    model: ModelRef
    model_digest: str
    deadline_ms: int

    def to_bytes(self) -> bytes:
        """Return the header as canonical JSON."""
        return canonical_json(
            {
                "deadline_ms": self.deadline_ms,
                "kid": self.key_id,
                "model": self.model.name,
                "model_digest": self.model_digest,
                "rid": self.request_id,
                "sid": self.session_id,
                "version": self.model.version,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyHeader:
    """The readable header of a reply; the sealed body authenticates it.

    `request_digest`: see exchange.md, 6.3. `instance`: the worker's id. `nonce`: 64 hex digits.
    """

    request_id: RequestId
    request_digest: str
    key_id: KeyId
    model_digest: str
    instance: str
    nonce: str
    simulated: bool

    def to_bytes(self) -> bytes:
        """Return the header as canonical JSON."""
        return canonical_json(
            {
                "instance": self.instance,
                "kid": self.key_id,
                "model_digest": self.model_digest,
                "nonce": self.nonce,
                "request_digest": self.request_digest,
                "rid": self.request_id,
                "simulated": self.simulated,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalHeader:
    """The header of a refusal, which is not authenticated.

    `request_id`: None if the request's header could not be parsed.
    """

    request_id: RequestId | None
    code: RefusalCode

    def to_bytes(self) -> bytes:
        """Return the header as canonical JSON."""
        return canonical_json({"code": self.code.value, "rid": self.request_id})


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A parsed envelope; its header is not authenticated until the body opens."""

    suite: int
    header: RequestHeader | ReplyHeader | RefusalHeader
    prefix_and_header: bytes
    key_blob: bytes
    body: memoryview

    @property
    def request_header(self) -> RequestHeader:
        """The header, which must be that of a request.

        Raises: MalformedError if the envelope is not a request.
        """
        if not isinstance(self.header, RequestHeader):
            msg = "the envelope is not a request"
            raise MalformedError(msg)
        return self.header

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview, *, max_body_bytes: int) -> Self:
        """Parse one envelope that fills `data` exactly. Spec: envelope.md, sections 1 to 4.

        Raises: MalformedError for the first broken rule; EnvelopeTooLargeError if the body is over
        `max_body_bytes`.
        """
        view = memoryview(data)
        kind, suite, header_length, blob_length, body_length = _read_prefix(view, max_body_bytes)
        body_at = PREFIX_LENGTH + header_length + blob_length
        if len(view) != body_at + body_length:
            msg = "envelope: its length is not the sum of the lengths in its prefix"
            raise MalformedError(msg)
        header_end = PREFIX_LENGTH + header_length
        return cls(
            suite=suite,
            header=_decode_header(kind, view[PREFIX_LENGTH:header_end], blob_length, body_length),
            prefix_and_header=bytes(view[:header_end]),
            key_blob=bytes(view[header_end:body_at]),
            body=view[body_at:],
        )


def parse_request_start(
    data: bytes | memoryview, *, max_body_bytes: int
) -> tuple[RequestHeader, int] | None:
    """Return a request's header and the length of its whole envelope, of which `data` is the start.

    None: the header is not whole yet.

    Raises: as `Envelope.from_bytes`.
    """
    if len(data) < PREFIX_LENGTH:
        return None
    view = memoryview(data)
    kind, _, header_length, blob_length, body_length = _read_prefix(view, max_body_bytes)
    header_end = PREFIX_LENGTH + header_length
    if kind != Kind.REQUEST:
        msg = "the envelope is not a request"
        raise MalformedError(msg)
    if len(data) < header_end:
        return None
    header = _request_header(parse_object(view[PREFIX_LENGTH:header_end], "envelope header"))
    return header, header_end + blob_length + body_length


def encode_start(kind: Kind, suite: int, header: bytes, key_blob: bytes, body_length: int) -> bytes:
    """Return prefix and header, the part that the body's encryption binds."""
    prefix = _PREFIX.pack(MAGIC, kind, 0, suite, len(header), len(key_blob), body_length)
    return prefix + header


def encode_refusal(code: RefusalCode, request_id: RequestId | None) -> bytes:
    """Return a complete refusal envelope."""
    header = RefusalHeader(request_id=request_id, code=code).to_bytes()
    return encode_start(Kind.REFUSAL, 0, header, b"", 0)


def _read_prefix(view: memoryview, max_body_bytes: int) -> tuple[int, int, int, int, int]:
    """Return kind, suite, and the lengths of header, key blob and body, all within their limits."""
    if len(view) < PREFIX_LENGTH:
        msg = "envelope: shorter than its prefix"
        raise MalformedError(msg)
    magic, kind, flags, suite, header_length, blob_length, body_length = _PREFIX.unpack_from(view)
    if magic != MAGIC:
        msg = "envelope: wrong magic"
        raise MalformedError(msg)
    if flags != 0:
        msg = "envelope: reserved byte is not zero"
        raise MalformedError(msg)
    if header_length > MAX_HEADER_BYTES or blob_length > MAX_KEY_BLOB_BYTES:
        msg = "envelope: header or key blob over its limit"
        raise MalformedError(msg)
    if kind == Kind.REFUSAL and suite != 0:
        msg = "envelope: a refusal of a suite"
        raise MalformedError(msg)
    if body_length > max_body_bytes:
        raise EnvelopeTooLargeError(body_length, max_body_bytes)
    return kind, suite, header_length, blob_length, body_length


def _decode_header(
    kind: int, text: memoryview, blob_length: int, body_length: int
) -> RequestHeader | ReplyHeader | RefusalHeader:
    value = parse_object(text, "envelope header")
    if kind == Kind.REQUEST:
        return _request_header(value)
    if blob_length:
        msg = "envelope: only a request carries a key blob"
        raise MalformedError(msg)
    if kind == Kind.REPLY:
        return _reply_header(value)
    if kind == Kind.REFUSAL and body_length == 0:
        return _refusal_header(value)
    msg = "envelope: unknown kind, or a refusal with a body"
    raise MalformedError(msg)


def _request_header(value: dict[str, object]) -> RequestHeader:
    fields = Fields(value, "request header", _REQUEST_KEYS)
    return RequestHeader(
        key_id=fields.read("kid", parse_key_id),
        session_id=fields.read("sid", parse_session_id),
        request_id=fields.read("rid", parse_request_id),
        model=ModelRef(name=fields.text("model"), version=fields.text("version")),
        model_digest=fields.digest("model_digest"),
        deadline_ms=fields.time_ms("deadline_ms"),
    )


def _reply_header(value: dict[str, object]) -> ReplyHeader:
    fields = OpenFields(value, "reply header", _REPLY_KEYS)
    return ReplyHeader(
        request_id=fields.read("rid", parse_request_id),
        request_digest=fields.digest("request_digest"),
        key_id=fields.read("kid", parse_key_id),
        model_digest=fields.digest("model_digest"),
        instance=fields.read("instance", parse_request_id),
        nonce=fields.digest("nonce"),
        simulated=fields.flag("simulated"),
    )


def _refusal_header(value: dict[str, object]) -> RefusalHeader:
    try:
        fields = OpenFields(value, "refusal header", ("code", "rid"))
        newer = False
    except NewerFormatError:
        value = {name: each for name, each in value.items() if name != "critical"}
        fields = OpenFields(value, "refusal header", ("code", "rid"))
        newer = True
    code = fields.known_word("code", RefusalCode)
    return RefusalHeader(
        request_id=fields.read_optional("rid", parse_request_id),
        code=RefusalCode.UNAVAILABLE if newer or code is None else code,
    )
