"""Sealing requests and replies: round trips, and everything that must not open."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealflow.errors import MalformedError, OpenError
from sealflow.seal.content import ContentKind, content_parts, error_parts, parse_error
from sealflow.seal.exchange import SessionSecrets, open_request
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.wire.envelope import PREFIX_LENGTH
from sealflow.wire.ids import ModelRef
from tests.support.sealing.sealed_sessions import (
    DIGEST,
    INSTANCE,
    KEYS,
    parse_envelope,
    start_session,
)


@pytest.mark.parametrize("suite", Suite)
@given(text=st.binary(max_size=50), binary=st.binary(max_size=200))
@settings(max_examples=20)
def test_request_and_reply_come_back_as_they_were(suite: Suite, text: bytes, binary: bytes) -> None:
    """Both directions, in every suite."""
    both = start_session(suite)
    call = both.call(text, binary)
    opened = both.open(call.envelope)
    content = opened.read()
    assert (content.text, content.binary) == (text, binary)
    assert opened.header == call.header
    header, content = call.open_reply(parse_envelope(both.answer(call.envelope, binary, text)))
    assert (content.text, content.binary) == (binary, text)
    assert header.simulated is (suite >= 0xF000)
    assert header.instance == INSTANCE


@pytest.mark.parametrize("size", [16_361, 16_362, 16_383, 16_384, 16_385, 100_000, 2**20])
def test_bodies_around_the_chunk_border_come_back(size: int) -> None:
    """The announced length is right for every number of chunks."""
    both = start_session()
    binary = bytes(range(256)) * (size // 256 + 1)
    call = both.call(binary=binary[:size])
    assert both.open(call.envelope).read().binary == binary[:size]


@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=200)
def test_a_request_with_any_flipped_bit_does_not_open(position: float, bit: int) -> None:
    """Prefix, header, key blob and body are all bound."""
    both = start_session(Suite.X25519)
    data = bytearray(both.call(b'{"x":1}', b"tensor").envelope)
    data[int(position * len(data))] ^= 1 << bit
    with pytest.raises((OpenError, MalformedError)):
        both.open(bytes(data))


@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=200)
def test_a_reply_with_any_flipped_bit_does_not_open(position: float, bit: int) -> None:
    """The reply's header is bound as its body is, and the call goes on waiting for the real one."""
    both = start_session(Suite.X25519)
    call = both.call()
    reply = both.answer(call.envelope)
    data = bytearray(reply)
    data[int(position * len(data))] ^= 1 << bit
    with pytest.raises((OpenError, MalformedError)):
        call.open_reply(parse_envelope(bytes(data)))
    call.open_reply(parse_envelope(reply))


def test_replies_cannot_be_swapped_between_requests_of_one_session() -> None:
    """A reply opens only with the call whose ciphertext it answers."""
    both = start_session()
    first, second = both.call(b"1"), both.call(b"2")
    reply = parse_envelope(both.answer(second.envelope))
    with pytest.raises(OpenError):
        first.open_reply(reply)


def test_a_body_cannot_be_moved_to_another_request_of_the_session() -> None:
    """The body is bound to its header."""
    both = start_session()
    first, second = both.call(b"1"), both.call(b"2")
    body = len(parse_envelope(first.envelope).body)
    assert body == len(parse_envelope(second.envelope).body)
    with pytest.raises(OpenError):
        both.open(first.envelope[:-body] + second.envelope[-body:])


def test_a_request_reflected_as_its_own_reply_does_not_open() -> None:
    """Directions have keys and kinds of their own."""
    both = start_session()
    call = both.call()
    with pytest.raises(OpenError):
        call.open_reply(parse_envelope(call.envelope))


def test_a_reply_opens_once() -> None:
    """The second copy of a reply is dropped, not opened again."""
    both = start_session()
    call = both.call()
    reply = parse_envelope(both.answer(call.envelope))
    call.open_reply(reply)
    with pytest.raises(OpenError):
        call.open_reply(reply)


def test_a_request_is_answered_once() -> None:
    """An opened request seals one reply."""
    both = start_session()
    opened = both.open(both.call().envelope)
    opened.seal_reply([b""], model_digest=DIGEST, instance=INSTANCE)
    with pytest.raises(OpenError):
        opened.seal_reply([b""], model_digest=DIGEST, instance=INSTANCE)


def test_a_reply_from_another_model_does_not_open() -> None:
    """The client learns which model answered, and takes no other."""
    both = start_session()
    call = both.call()
    other = both.open(call.envelope).seal_reply(
        content_parts(ContentKind.INFER, b"{}"), model_digest="ef" * 32, instance=INSTANCE
    )
    with pytest.raises(OpenError):
        call.open_reply(parse_envelope(other))


def test_a_suite_cannot_be_changed_on_the_way() -> None:
    """The suite in the prefix must be the key's own."""
    both = start_session(Suite.XWING)
    data = bytearray(both.call().envelope)
    data[6:8] = int(Suite.SIMULATED_XWING).to_bytes(2)
    with pytest.raises(OpenError):
        both.open(bytes(data))


def test_the_same_seed_in_another_world_is_another_key() -> None:
    """A simulated key never opens what was sealed for hardware."""
    real = KEYS[Suite.XWING]
    simulated = OpeningKey(suite=Suite.SIMULATED_XWING, seed=real.seed)
    assert simulated.public_key.key_id.startswith("sim-")
    assert simulated.public_key.key_id != f"sim-{real.public_key.key_id}"
    both = start_session()
    envelope = parse_envelope(both.call().envelope)
    with pytest.raises(OpenError):
        open_request(envelope, simulated, SessionSecrets(1))


def test_lengths_on_the_wire_are_bucketed() -> None:
    """Contents of nearby lengths make envelopes of one or two lengths."""
    both = start_session()
    lengths = {len(both.call(binary=bytes(90_000 + n)).envelope) for n in range(0, 1000, 50)}
    assert len(lengths) <= 2


def test_an_error_reply_carries_its_code_and_message() -> None:
    """Errors after opening travel sealed, as any reply does."""
    both = start_session()
    call = both.call()
    reply = both.open(call.envelope).seal_reply(
        error_parts("invalid_input", "too wide"), model_digest=DIGEST, instance=INSTANCE
    )
    _, content = call.open_reply(parse_envelope(reply))
    assert content.kind is ContentKind.ERROR
    assert parse_error(content) == ("invalid_input", "too wide")


@pytest.mark.parametrize("parts", [[], [b"\x09\0\0\0\0"], [b"\x01\0\0\0\x09"]])
def test_nonsense_inside_a_genuine_seal_is_malformed(parts: list[bytes | memoryview]) -> None:
    """A holder of the key can still send garbage."""
    both = start_session()
    call = both.session.seal_request(ModelRef(name="m", version="1"), DIGEST, parts, deadline_ms=1)
    opened = both.open(call.envelope)
    with pytest.raises(MalformedError):
        opened.read()
    assert opened.content is None
    opened.seal_reply([b""], model_digest=DIGEST, instance=INSTANCE)


@pytest.mark.parametrize("text", [b'{"code":1,"message":""}', b'{"code":"x"}', b"no"])
def test_an_error_reply_is_parsed_strictly(text: bytes) -> None:
    """Code and message are strings, and both are there."""
    both = start_session()
    call = both.call()
    reply = both.open(call.envelope).seal_reply(
        content_parts(ContentKind.ERROR, text), model_digest=DIGEST, instance=INSTANCE
    )
    _, content = call.open_reply(parse_envelope(reply))
    with pytest.raises(MalformedError):
        parse_error(content)


def test_no_repr_shows_a_secret() -> None:
    """Keys, sessions and calls can be logged by accident without harm."""
    both = start_session()
    call = both.call(b'{"canary":1}', b"canary")
    opened = both.open(call.envelope)
    shown = "".join(map(repr, (both.session, both.key, call, opened, both.secrets)))
    secret = both.secrets.open_or_recall(both.key, both.session.session_id, both.session.key_blob)
    assert repr(secret) not in shown
    assert repr(both.key.seed) not in shown
    assert "canary" not in shown


def test_the_prefix_length_is_what_the_spec_says() -> None:
    """Readers may rely on 16 bytes."""
    assert PREFIX_LENGTH == 16
