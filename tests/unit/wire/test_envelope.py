"""The outside of an envelope: what is parsed, what is refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealflow.errors import EnvelopeTooLargeError, MalformedError, RefusalCode
from sealflow.wire.envelope import (
    MAX_HEADER_BYTES,
    Envelope,
    Kind,
    RefusalHeader,
    ReplyHeader,
    RequestHeader,
    encode_refusal,
    encode_start,
    parse_request_start,
)
from sealflow.wire.ids import KeyId, ModelRef, new_request_id, new_session_id

LIMIT = 1000


def request_header(**changes: object) -> RequestHeader:
    """Make a valid request header."""
    fields: dict[str, object] = {
        "key_id": KeyId("ab" * 32),
        "session_id": new_session_id(),
        "request_id": new_request_id(),
        "model": ModelRef(name="lite0", version="1"),
        "model_digest": "cd" * 32,
        "deadline_ms": 1_800_000_000_000,
    }
    return RequestHeader(**{**fields, **changes})  # type: ignore[arg-type]


def request(header: bytes | None = None, blob: bytes = b"blob", body: bytes = b"body") -> bytes:
    """Make a request envelope, valid unless told otherwise."""
    header = request_header().to_bytes() if header is None else header
    return encode_start(Kind.REQUEST, 1, header, blob, len(body)) + blob + body


def parse(data: bytes) -> Envelope:
    """Parse with the test's limit."""
    return Envelope.from_bytes(data, max_body_bytes=LIMIT)


@given(blob=st.binary(max_size=100), body=st.binary(max_size=LIMIT), suite=st.integers(0, 65535))
def test_a_request_comes_back_as_it_was_written(blob: bytes, body: bytes, suite: int) -> None:
    """Decoding gives back header, blob and body."""
    header = request_header()
    start = encode_start(Kind.REQUEST, suite, header.to_bytes(), blob, len(body))
    envelope = parse(start + blob + body)
    assert envelope.header == envelope.request_header == header
    assert (envelope.suite, envelope.key_blob, envelope.body) == (suite, blob, body)
    assert envelope.prefix_and_header == start


def test_a_reply_comes_back_as_it_was_written() -> None:
    """A reply's header survives the way."""
    header = ReplyHeader(
        request_id=new_request_id(),
        request_digest="12" * 32,
        key_id=KeyId("sim-" + "ab" * 32),
        model_digest="cd" * 32,
        instance=new_request_id(),
        nonce="ef" * 32,
        simulated=True,
    )
    envelope = parse(encode_start(Kind.REPLY, 0xF001, header.to_bytes(), b"", 4) + b"body")
    assert envelope.header == header


@pytest.mark.parametrize("code", list(RefusalCode))
def test_a_refusal_names_a_code_of_the_closed_list(code: RefusalCode) -> None:
    """Every refusal comes back with its code, with and without a request id."""
    request_id = new_request_id()
    assert parse(encode_refusal(code, request_id)).header == RefusalHeader(
        request_id=request_id, code=code
    )
    assert parse(encode_refusal(code, None)).header == RefusalHeader(request_id=None, code=code)


def test_a_body_over_the_limit_is_refused_by_its_announced_length() -> None:
    """The length in the prefix is enough to refuse; the body need not be there."""
    start = encode_start(Kind.REQUEST, 1, request_header().to_bytes(), b"", 2**32 - 1)
    with pytest.raises(EnvelopeTooLargeError, match="4294967295"):
        parse(start)


@given(cut=st.integers(0, len(request()) - 1))
def test_a_truncated_envelope_is_refused_at_every_byte(cut: int) -> None:
    """No prefix of an envelope is an envelope."""
    with pytest.raises(MalformedError):
        parse(request()[:cut])


@given(st.binary(max_size=300))
def test_noise_is_refused(noise: bytes) -> None:
    """Random bytes never parse and never raise anything else."""
    with pytest.raises(MalformedError):
        parse(noise)


def test_trailing_bytes_are_refused() -> None:
    """An envelope fills its buffer exactly."""
    with pytest.raises(MalformedError, match="not the sum of the lengths"):
        parse(request() + b"\0")


def test_a_header_over_its_limit_is_refused() -> None:
    """The header's length is checked before it is parsed."""
    with pytest.raises(MalformedError, match="over its limit"):
        parse(request(header=b" " * (MAX_HEADER_BYTES + 1)))


@pytest.mark.parametrize(
    ("at", "value", "match"),
    [(0, b"SFL2", "magic"), (4, b"\x09", "unknown kind"), (5, b"\x01", "reserved")],
)
def test_a_foreign_prefix_is_refused(at: int, value: bytes, match: str) -> None:
    """Another magic, kind or reserved byte is another format."""
    data = bytearray(request(blob=b""))
    data[at : at + len(value)] = value
    with pytest.raises(MalformedError, match=match):
        parse(bytes(data))


def edited(old: str, new: str) -> bytes:
    """Change the text of a valid request header."""
    text = request_header(request_id="0" * 32).to_bytes().decode()
    assert old in text
    return text.replace(old, new).encode()


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"\xff",
        b"{}",
        edited("}", ',"extra":1}'),
        edited('"rid"', '"kid"'),
        edited("1800000000000", "NaN"),
        edited("1800000000000", "1.5"),
        edited("1800000000000", "true"),
        edited("1800000000000", "-1"),
        edited("1800000000000", "9" * 30),
        edited("1800000000000", str(2**53)),
        edited('"' + "0" * 32 + '"', '"' + "0" * 31 + '"'),
        edited('"' + "0" * 32 + '"', '"' + "A" * 32 + '"'),
        edited('"' + "0" * 32 + '"', "1"),
        edited('"lite0"', '"../etc"'),
        edited('"lite0"', "7"),
        edited('"lite0"', '""'),
        edited("cdcd", "cdc"),
        b'{"a":' * 900,
    ],
)
def test_a_header_that_bends_the_rules_is_refused(header: bytes) -> None:
    """Duplicate, unknown and missing keys, wrong types and forms are all malformed."""
    with pytest.raises(MalformedError):
        parse(request(header=header))


def test_only_requests_carry_a_key_blob_and_only_refusals_lack_a_body() -> None:
    """Kinds cannot be told one for the other."""
    refusal = RefusalHeader(request_id=None, code=RefusalCode.EXPIRED).to_bytes()
    with pytest.raises(MalformedError, match="key blob"):
        parse(encode_start(Kind.REFUSAL, 0, refusal, b"x", 0) + b"x")
    with pytest.raises(MalformedError, match="with a body"):
        parse(encode_start(Kind.REFUSAL, 0, refusal, b"", 1) + b"x")


def test_a_reply_header_is_checked_field_by_field() -> None:
    """A mark that is no boolean is malformed; a code of a newer release means unavailable."""
    header = b'{"code":"because","rid":null}'
    refusal = parse(encode_start(Kind.REFUSAL, 0, header, b"", 0)).header
    assert refusal == RefusalHeader(request_id=None, code=RefusalCode.UNAVAILABLE)
    with pytest.raises(MalformedError, match="refusal header: code is not one of"):
        parse(encode_start(Kind.REFUSAL, 0, b'{"code":[],"rid":null}', b"", 0))
    reply = ReplyHeader(
        request_id=new_request_id(),
        request_digest="12" * 32,
        key_id=KeyId("ab" * 32),
        model_digest="cd" * 32,
        instance=new_request_id(),
        nonce="ef" * 32,
        simulated=False,
    ).to_bytes()
    with pytest.raises(MalformedError, match="simulated"):
        parse(encode_start(Kind.REPLY, 1, reply.replace(b"false", b"0"), b"", 0))


def test_a_reply_is_no_request() -> None:
    """Asking a reply for its request header is an error, not a guess."""
    with pytest.raises(MalformedError, match="not a request"):
        _ = parse(encode_refusal(RefusalCode.EXPIRED, None)).request_header


def test_the_prefix_is_laid_out_as_the_spec_says() -> None:
    """Bytes 0 to 15, big-endian: spec envelope.md, section 1."""
    start = encode_start(Kind.REQUEST, 0xF001, b"{}", b"abc", 7)
    assert start == struct.pack(">4sBBHHHI", b"SFL1", 1, 0, 0xF001, 2, 3, 7) + b"{}"


def test_the_start_of_a_request_says_what_follows() -> None:
    """A header is read as soon as it is whole, with the length of all; faults show at once."""
    header = RequestHeader(
        key_id=KeyId("ab" * 32),
        session_id=new_session_id(),
        request_id=new_request_id(),
        model=ModelRef(name="m", version="1"),
        model_digest="cd" * 32,
        deadline_ms=5,
    )
    start = encode_start(Kind.REQUEST, 1, header.to_bytes(), b"key", 100)
    assert parse_request_start(start, max_body_bytes=100) == (header, len(start) + 103)
    assert parse_request_start(start + b"more", max_body_bytes=100) == (header, len(start) + 103)
    for length in (0, 15, 16, len(start) - 1):
        assert parse_request_start(start[:length], max_body_bytes=100) is None
    with pytest.raises(EnvelopeTooLargeError):
        parse_request_start(start[:16], max_body_bytes=99)
    with pytest.raises(MalformedError, match="magic"):
        parse_request_start(b"x" * 16, max_body_bytes=99)
    with pytest.raises(MalformedError, match="not a request"):
        parse_request_start(encode_start(Kind.REPLY, 1, b"{}", b"", 1)[:16], max_body_bytes=99)
