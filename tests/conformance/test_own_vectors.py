"""Our own vectors: what a second implementation is checked with, checked against ourselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sealflow.errors import MalformedError, OpenError
from sealflow.seal.content import ContentKind, parse_error
from sealflow.seal.exchange import IncomingCall, OutgoingCall, SessionSecrets, open_request
from sealflow.seal.keys import OpeningKey, parse_suite
from sealflow.wire.envelope import Envelope

VECTORS = Path(__file__).parent.parent / "vectors"
ENVELOPES = json.loads((VECTORS / "envelope.json").read_text())
EXCHANGES = json.loads((VECTORS / "exchange.json").read_text())
LIMIT = EXCHANGES["max_body_bytes"]


@pytest.mark.parametrize("name", ENVELOPES["accept"])
def test_envelopes_to_accept_parse(name: str) -> None:
    """They parse."""
    Envelope.from_bytes(
        bytes.fromhex(ENVELOPES["accept"][name]), max_body_bytes=ENVELOPES["max_body_bytes"]
    )


@pytest.mark.parametrize("name", ENVELOPES["reject"])
def test_envelopes_to_reject_do_not_parse(name: str) -> None:
    """They are malformed."""
    with pytest.raises(MalformedError):
        Envelope.from_bytes(bytes.fromhex(ENVELOPES["reject"][name]), max_body_bytes=LIMIT)


def opened(vector: dict[str, Any], envelope: str) -> IncomingCall:
    """Open a request with the vector's key."""
    key = OpeningKey(suite=parse_suite(vector["suite"]), seed=bytes.fromhex(vector["key_seed"]))
    data = Envelope.from_bytes(bytes.fromhex(envelope), max_body_bytes=LIMIT)
    return open_request(data, key, SessionSecrets(1))


def outgoing(vector: dict[str, Any]) -> OutgoingCall:
    """The client's side of the vector's request, made again from its secret."""
    request = opened(vector, vector["request"]["envelope"])
    return OutgoingCall(
        envelope=bytes.fromhex(vector["request"]["envelope"]),
        header=request.header,
        suite=request.suite,
        domain=request.domain,
        request_digest=request.request_digest,
        _secret=bytes.fromhex(vector["session_secret"]),
    )


@pytest.mark.parametrize("vector", EXCHANGES["exchanges"], ids=lambda vector: vector["suite"])
class TestExchange:
    """One exchange in each suite."""

    def test_key(self, vector: dict[str, Any]) -> None:
        """The seed gives the public key and its id."""
        key = OpeningKey(suite=parse_suite(vector["suite"]), seed=bytes.fromhex(vector["key_seed"]))
        assert key.public_key.public.hex() == vector["key_public"]
        assert key.public_key.key_id == vector["key_id"]

    def test_request(self, vector: dict[str, Any]) -> None:
        """The request opens to its content and digest."""
        call = opened(vector, vector["request"]["envelope"])
        assert bytes(call.read().text).decode() == vector["request"]["json"]
        assert call.read().binary.hex() == vector["request"]["binary"]
        assert call.request_digest.hex() == vector["request"]["request_digest"]

    def test_reply(self, vector: dict[str, Any]) -> None:
        """Reply and error reply open to their contents."""
        data = Envelope.from_bytes(bytes.fromhex(vector["reply"]["envelope"]), max_body_bytes=LIMIT)
        _, content = outgoing(vector).open_reply(data)
        assert bytes(content.text).decode() == vector["reply"]["json"]
        assert content.binary.hex() == vector["reply"]["binary"]
        data = Envelope.from_bytes(
            bytes.fromhex(vector["error_reply"]["envelope"]), max_body_bytes=LIMIT
        )
        _, content = outgoing(vector).open_reply(data)
        assert content.kind is ContentKind.ERROR
        expected = vector["error_reply"]["code"], vector["error_reply"]["message"]
        assert parse_error(content) == expected

    def test_rejects(self, vector: dict[str, Any]) -> None:
        """What was tampered with does not open, in either direction."""
        for name, envelope in vector["reject_requests"].items():
            with pytest.raises((OpenError, MalformedError)):
                opened(vector, envelope)
                pytest.fail(name)
        for name, envelope in vector["reject_replies"].items():
            with pytest.raises((OpenError, MalformedError)):
                outgoing(vector).open_reply(
                    Envelope.from_bytes(bytes.fromhex(envelope), max_body_bytes=LIMIT)
                )
                pytest.fail(name)
