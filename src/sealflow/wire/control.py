"""Core, pure: the errors in answers to control requests. Spec: frames.md, section 8."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sealflow.errors import UnavailableError
from sealflow.wire.fields import OpenFields
from sealflow.wire.frames import MAX_CONTROL_BYTES
from sealflow.wire.printable import as_line
from sealflow.wire.strict_json import canonical_json, parse_object

_MAX_CODE: Final = 64
_MAX_DETAIL: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorAnswer:
    """The error in an answer to a control request.

    `code`: one of a closed list (frames.md, section 8). `detail`: a sentence for people;
    `error_of` makes one line of it, at most `_MAX_DETAIL` characters.
    """

    code: str
    detail: str

    def to_bytes(self) -> bytes:
        """Return the answer as canonical JSON."""
        return canonical_json({"error": {"code": self.code, "detail": self.detail}})


UNAVAILABLE: Final = ErrorAnswer(
    code="unavailable", detail="the key broker did not answer: try again"
).to_bytes()
TOO_LARGE: Final = ErrorAnswer(
    code="too_large", detail=f"requests are at most {MAX_CONTROL_BYTES} bytes"
).to_bytes()


def error_of(answer: dict[str, object]) -> ErrorAnswer | None:
    """Return the error in an answer, or None if the answer is not an error.

    Raises: NewerFormatError for an unknown critical field; MalformedError.
    """
    OpenFields(answer, "answer", ())
    error = answer.get("error")
    if error is None:
        return None
    if not isinstance(error, dict):
        return ErrorAnswer(code="unavailable", detail="the answer is malformed")
    OpenFields(error, "answer: error", ())
    return ErrorAnswer(
        code=as_line(error.get("code"), _MAX_CODE), detail=as_line(error.get("detail"), _MAX_DETAIL)
    )


def require_ok(answer: bytes | None, what: str) -> dict[str, object]:
    """Parse an answer that must not be an error.

    `answer`: None if there was none. `what`: the request's name for error messages.

    Raises: UnavailableError for an error or no answer; NewerFormatError; MalformedError.
    """
    value = parse_object(answer or UNAVAILABLE, what)
    error = error_of(value)
    if error is not None:
        raise UnavailableError(f"{what}: {error.code}")
    return value
