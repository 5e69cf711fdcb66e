"""Error answers to control requests."""

from __future__ import annotations

import json

import pytest

from sealflow.errors import NewerFormatError, UnavailableError
from sealflow.wire.control import TOO_LARGE, UNAVAILABLE, ErrorAnswer, error_of, require_ok


def test_what_is_written_is_read() -> None:
    """Code and sentence come back, the sentence cut at 500 characters."""
    answer = ErrorAnswer(code="full", detail="no more models fit")
    assert error_of(json.loads(answer.to_bytes())) == answer
    long = error_of({"error": {"code": "full", "detail": "x" * 501}})
    assert long == ErrorAnswer(code="full", detail="x" * 500)
    assert error_of({"version": 1}) is None
    assert error_of({"error": 1}) == ErrorAnswer(
        code="unavailable", detail="the answer is malformed"
    )


@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"code": "policy", "detail": "", "moon": 1, "critical": ["moon"]}},
        {"error": {"code": "policy", "detail": ""}, "moon": 1, "critical": ["moon"]},
        {"version": 1, "moon": 1, "critical": ["moon"]},
    ],
)
def test_what_must_be_known(answer: dict[str, object]) -> None:
    """An answer, or an error in it, with an unknown critical field is refused, whatever it says."""
    with pytest.raises(NewerFormatError, match="'moon' must be known") as caught:
        error_of(answer)
    assert caught.value.code == "critical"


@pytest.mark.parametrize("answer", [None, b"", UNAVAILABLE, TOO_LARGE])
def test_an_answer_that_must_be_none(answer: bytes | None) -> None:
    """An error, and no answer at all, say that the key broker is not available."""
    with pytest.raises(UnavailableError, match=r"challenge: (unavailable|too_large)"):
        require_ok(answer, "challenge")
    assert require_ok(b'{"nonce":"a"}', "challenge") == {"nonce": "a"}
