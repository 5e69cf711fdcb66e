"""Top classes as text: `score:index:label`."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealflow.errors import MalformedError
from sealflow.openinfer.messages import TopClass


@given(
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.integers(0, 2**31),
    st.text(st.characters(codec="utf-8"), max_size=30),
)
def test_a_class_comes_back(score: float, index: int, label: str) -> None:
    """FP32 scores to the bit, labels with whatever is in them."""
    found = TopClass.from_bytes(
        memoryview(TopClass(score=score, index=index, label=label).to_bytes())
    )
    assert (found.index, found.label) == (index, label)
    assert struct.pack("<f", found.score) == struct.pack("<f", score)


def test_the_text_is_what_the_extension_says() -> None:
    """The label is left out with its colon when there is none."""
    assert TopClass(score=0.5, index=7, label="a: b").to_bytes() == b"0.5:7:a: b"
    assert TopClass(score=-1e-20, index=0).to_bytes() == b"-1e-20:0"
    assert TopClass.from_bytes(b"1:2:") == TopClass(score=1, index=2)


@pytest.mark.parametrize(
    "element",
    [
        b"",
        b"1",
        b":1",
        b"1:",
        b"a:1",
        b"nan:1",
        b"inf:1",
        b"1e999:1",
        b"--1:1",
        b"1..2:1",
        b"1:-1",
        b"1:1.5",
        b"1:12345678901",
        b" 1:1",
        b"1:1:" + b"x" * 4097,
        b"\xff:1",
        "١:1".encode(),
    ],
)
def test_anything_else_is_malformed(element: bytes) -> None:
    """Scores are finite, indices short, text is UTF-8."""
    with pytest.raises(MalformedError):
        TopClass.from_bytes(element)
