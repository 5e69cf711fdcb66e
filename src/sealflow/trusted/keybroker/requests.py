"""Key broker, pure: what control requests have in common: their bound, and how they fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealflow.errors import MalformedError, SealflowError, UnavailableError
from sealflow.wire.frames import MAX_CONTROL_BYTES
from sealflow.wire.ids import parse_digest
from sealflow.wire.strict_json import canonical, parse_object

if TYPE_CHECKING:
    from collections.abc import Callable


class Problem(SealflowError):  # noqa: N818 - becomes an answer
    """Why a request is not done: a code of a closed list and a sentence for people."""

    def __init__(self, code: str, detail: str) -> None:
        """Keep both."""
        super().__init__(detail)
        self.code = code
        self.detail = detail


def answered(
    request: bytes | memoryview, answer: Callable[[dict[str, object]], dict[str, object]]
) -> bytes:
    """Answer a request of bounded size, or say in the answer why it is not done.

    `answer`: does what a parsed request asks; it raises Problem, MalformedError, UnavailableError.
    """
    try:
        if len(request) > MAX_CONTROL_BYTES:
            raise Problem("too_large", f"requests are at most {MAX_CONTROL_BYTES} bytes")  # noqa: TRY301
        return canonical(answer(parse_object(request, "control request")))
    except MalformedError as error:
        problem = Problem("malformed", str(error))
    except Problem as error:
        problem = error
    except UnavailableError as error:
        problem = Problem("unavailable", str(error))
    return canonical({"error": {"code": problem.code, "detail": problem.detail}})


def digest_field(value: dict[str, object], name: str) -> str:
    """Read a field of 64 hex digits.

    Raises: MalformedError.
    """
    return parse_digest(value.get(name))
