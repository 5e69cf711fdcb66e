"""Keys, padding and streams."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealflow.errors import MalformedError, OpenError
from sealflow.seal.chunked import KEY_BYTES, chunked_length, open_chunked, seal_chunked
from sealflow.seal.content import padded_length, padding_for, unpad
from sealflow.seal.keys import OpeningKey, SealingKey, Suite, parse_suite, public_key_bytes


@pytest.mark.parametrize("suite", Suite)
def test_a_key_opens_what_was_sealed_to_it(suite: Suite) -> None:
    """And nothing else: not with another info, not with another key."""
    key = OpeningKey.generate(suite)
    sealed = key.public_key.seal(b"secret", b"info")
    assert key.open(sealed, b"info") == b"secret"
    for other, info in ((key, b"other"), (OpeningKey.generate(suite), b"info")):
        with pytest.raises(OpenError):
            other.open(sealed, info)
    with pytest.raises(OpenError):
        key.open(b"", b"info")


@pytest.mark.parametrize("suite", Suite)
def test_a_seed_always_gives_the_same_key(suite: Suite) -> None:
    """A key is its seed."""
    key = OpeningKey.generate(suite)
    again = OpeningKey(suite=suite, seed=key.seed)
    assert again.public_key == key.public_key
    assert len(key.public_key.public) == public_key_bytes(suite)


def test_keys_of_the_wrong_length_are_refused() -> None:
    """Lengths are checked before parsing."""
    with pytest.raises(MalformedError, match="32 bytes"):
        OpeningKey(suite=Suite.XWING, seed=b"short")
    with pytest.raises(MalformedError, match="wrong length"):
        SealingKey(suite=Suite.XWING, public=bytes(32))


def test_a_public_key_that_is_none_is_refused() -> None:
    """ML-KEM coefficients out of range do not parse (FIPS 203, section 7.2)."""
    with pytest.raises(MalformedError, match="not a key"):
        SealingKey(suite=Suite.XWING, public=b"\xff" * public_key_bytes(Suite.XWING))


def test_unknown_suites_are_refused() -> None:
    """There is a closed list."""
    assert parse_suite(1) is Suite.XWING
    for number in (0, 3, 0xF000, None, "1"):
        with pytest.raises(MalformedError):
            parse_suite(number)


@given(st.integers(0, 2**40))
def test_padding_costs_at_most_twelve_percent(length: int) -> None:
    """The bound that Padmé promises."""
    assert length <= padded_length(length) <= length * 1.12 + 1


@given(st.binary(max_size=300))
def test_padding_comes_off_again(content: bytes) -> None:
    """And only exactly that padding."""
    head, tail = padding_for(len(content))
    padded = head + content + tail
    assert unpad(memoryview(padded)) == content
    with pytest.raises(MalformedError, match="wrong length"):
        unpad(memoryview(padded + b"\0" * 100))


def test_padding_that_is_not_zero_is_refused() -> None:
    """One encoding per content."""
    head, tail = padding_for(61)
    assert len(tail) == 7
    with pytest.raises(MalformedError, match="not zero"):
        unpad(memoryview(head + bytes(61) + b"\1" * len(tail)))
    with pytest.raises(MalformedError, match="wrong length"):
        unpad(memoryview(b"\0"))


@given(st.lists(st.binary(max_size=20_000), max_size=4))
def test_a_stream_has_the_length_foretold(parts: list[bytes]) -> None:
    """The length of a sealed stream is known before it is sealed."""
    key, whole = bytes(KEY_BYTES), b"".join(parts)
    sealed = seal_chunked(key, b"context", parts)
    assert len(sealed) == chunked_length(len(whole))
    assert open_chunked(key, b"context", sealed) == whole


@pytest.mark.parametrize("cut", [0, 1, 55, 56, 71, 72, 16_456, 16_457, 32_855, -1])
def test_a_truncated_stream_does_not_open(cut: int) -> None:
    """Also at chunk borders."""
    sealed = seal_chunked(bytes(KEY_BYTES), b"", [bytes(40_000)])
    with pytest.raises(OpenError):
        open_chunked(bytes(KEY_BYTES), b"", sealed[:cut])


def test_a_stream_is_bound_to_its_context() -> None:
    """Another context, another message."""
    sealed = seal_chunked(bytes(KEY_BYTES), b"a", [b"x"])
    with pytest.raises(OpenError):
        open_chunked(bytes(KEY_BYTES), b"b", sealed)
