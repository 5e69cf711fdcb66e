"""Values after their lengths."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sealflow.wire.domain import LENGTH_BYTES, length_prefixed


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_what_was_joined_can_be_told_apart(values: list[bytes]) -> None:
    """Each value is found again behind its length, so that no two lists read the same."""
    joined, found = length_prefixed(*values), []
    while joined:
        end = LENGTH_BYTES + int.from_bytes(joined[:LENGTH_BYTES])
        found.append(joined[LENGTH_BYTES:end])
        joined = joined[end:]
    assert found == values


def test_form() -> None:
    """A length is four bytes, the highest first."""
    assert length_prefixed(b"ab", b"") == b"\0\0\0\2ab\0\0\0\0"
