"""Core, pure: the errors in answers to control requests. Spec: frames.md, section 8."""

from __future__ import annotations

from typing import Final

from sealflow.errors import UnavailableError
from sealflow.wire.frames import MAX_CONTROL_BYTES
from sealflow.wire.strict_json import canonical_json, parse_object

UNAVAILABLE: Final = canonical_json(
    {"error": {"code": "unavailable", "detail": "the key broker did not answer: try again"}}
)
TOO_LARGE: Final = canonical_json(
    {
        "error": {
            "code": "too_large",
            "detail": f"requests are at most {MAX_CONTROL_BYTES} bytes",
        }
    }
)


def error_code(answer: dict[str, object]) -> str | None:
    """Return the error code of an answer, or None if the answer is not an error."""
    error = answer.get("error")
    return str(error.get("code")) if isinstance(error, dict) else None


def require_ok(answer: bytes | None, what: str) -> dict[str, object]:
    """Parse an answer that must not be an error.

    `answer`: None if there was none. `what`: the request's name for error messages.

    Raises: UnavailableError for an error or no answer; MalformedError.
    """
    value = parse_object(answer or UNAVAILABLE, what)
    code = error_code(value)
    if code is not None:
        raise UnavailableError(f"{what}: {code}")
    return value
