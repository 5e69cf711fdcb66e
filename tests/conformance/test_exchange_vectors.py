"""Replies and padding, one fault each: the code that must come out, or the content."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest

from sealflow.errors import EvidenceError, OpenError
from sealflow.seal.content import content_parts, unpad
from sealflow.seal.exchange import OutgoingCall
from sealflow.seal.keys import parse_suite
from sealflow.wire.envelope import Envelope
from tests.support.vectors.cases import case_name, expected, read_cases, verdict

LIMIT = 2**20


def outgoing(case: dict[str, Any]) -> OutgoingCall:
    """The client's side of a case's request, made again from its secret."""
    import hashlib

    from sealflow.wire.domain import length_prefixed

    sent = b64decode(case["request"])
    request = Envelope.from_bytes(sent, max_body_bytes=LIMIT)
    suite = parse_suite(request.suite)
    label = suite.domain.label("request transcript")
    whole = label + length_prefixed(request.prefix_and_header, request.key_blob)
    transcript = hashlib.sha256(whole).digest()
    label = suite.domain.label("request digest")
    return OutgoingCall(
        envelope=sent,
        header=request.request_header,
        suite=request.suite,
        domain=suite.domain,
        request_digest=hashlib.sha256(label + transcript + request.body).digest(),
        _secret=bytes.fromhex(case["session_secret"]),
    )


@pytest.mark.parametrize(
    "case", read_cases("replies.json"), ids=lambda each: f"replies: {case_name(each)}"
)
def test_reply(case: dict[str, Any]) -> None:
    """The genuine reply opens to its content, and nothing else does."""
    found: list[bytes] = []

    def judge() -> None:
        reply = Envelope.from_bytes(b64decode(case["reply"]), max_body_bytes=LIMIT)
        try:
            _, content = outgoing(case).open_reply(reply)
        except OpenError as error:
            raise EvidenceError("reply", str(error)) from error
        parts = content_parts(content.kind, bytes(content.text), [content.binary])
        found.append(b"".join(parts))

    assert verdict(judge, "reply") == expected(case)
    if expected(case) == "ok":
        assert found == [b64decode(case["content"])]


@pytest.mark.parametrize(
    "case", read_cases("padding.json"), ids=lambda each: f"padding: {case_name(each)}"
)
def test_padding(case: dict[str, Any]) -> None:
    """Only the padding of the formula is taken away."""
    found: list[bytes] = []

    def judge() -> None:
        found.append(bytes(unpad(memoryview(b64decode(case["padded"])))))

    assert verdict(judge, "malformed") == expected(case)
    if expected(case) == "ok":
        assert found == [b64decode(case["content"])]
