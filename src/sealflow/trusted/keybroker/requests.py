"""Key broker, pure: what control requests have in common: their bound, and how they fail."""

from __future__ import annotations

from sealflow.errors import SealflowError
from sealflow.wire.framing import MAX_CONTROL_BYTES
from sealflow.wire.ids import parse_digest
from sealflow.wire.strict_json import parse_object


class Problem(SealflowError):  # noqa: N818 - becomes an answer
    """Why a request is not done: a code of a closed list and a sentence for people."""

    def __init__(self, code: str, detail: str) -> None:
        """Keep both."""
        super().__init__(detail)
        self.code = code
        self.detail = detail


def parse_request(request: bytes | memoryview) -> dict[str, object]:
    """Read a request of bounded size.

    Raises: Problem, MalformedError.
    """
    if len(request) > MAX_CONTROL_BYTES:
        raise Problem("too_large", f"requests are at most {MAX_CONTROL_BYTES} bytes")
    return parse_object(request, "control request")


def digest_field(value: dict[str, object], name: str) -> str:
    """Read a field of 64 hex digits.

    Raises: MalformedError.
    """
    return parse_digest(value.get(name))
