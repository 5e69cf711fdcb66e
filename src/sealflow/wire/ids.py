"""Core, pure, stdlib only: identifiers that strangers may see, parsed before use."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import NewType

from sealflow.errors import MalformedError

RequestId = NewType("RequestId", str)
"""32 lower-case hex digits: 16 random bytes, new for every sealed request."""

SessionId = NewType("SessionId", str)
"""32 lower-case hex digits: 16 random bytes, new for every session."""

KeyId = NewType("KeyId", str)
"""64 lower-case hex digits, `sim-` in front of them when the key belongs to a simulated TEE."""

_REQUEST_ID = re.compile(r"[0-9a-f]{32}")
_KEY_ID = re.compile(r"(?:sim-)?[0-9a-f]{64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")


def new_request_id() -> RequestId:
    """Draw a fresh request id from the system's random source."""
    return RequestId(secrets.token_hex(16))


def new_session_id() -> SessionId:
    """Draw a fresh session id from the system's random source."""
    return SessionId(secrets.token_hex(16))


def parse_request_id(text: object) -> RequestId:
    """Accept exactly 32 lower-case hex digits.

    Raises: MalformedError for anything else.
    """
    return RequestId(_matched(_REQUEST_ID, text, "request id"))


def parse_session_id(text: object) -> SessionId:
    """Accept exactly 32 lower-case hex digits.

    Raises: MalformedError for anything else.
    """
    return SessionId(_matched(_REQUEST_ID, text, "session id"))


def parse_key_id(text: object) -> KeyId:
    """Accept 64 lower-case hex digits with an optional `sim-` prefix.

    Raises: MalformedError for anything else.
    """
    return KeyId(_matched(_KEY_ID, text, "key id"))


def parse_digest(text: object) -> str:
    """Accept a SHA-256 digest as 64 lower-case hex digits.

    Raises: MalformedError for anything else.
    """
    return _matched(_DIGEST, text, "digest")


def parse_name(text: object) -> str:
    """Accept a name of 1 to 64 letters, digits, `.`, `_` and `-`, alphanumeric at both ends.

    Raises: MalformedError for anything else.
    """
    return _matched(_NAME, text, "name")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ModelRef:
    """One version of one model.

    Attributes:
        name: 1 to 64 letters, digits, `.`, `_` and `-`, with a letter or digit at both ends.
        version: Likewise.

    Raises:
        MalformedError: Name or version is not of that form.

    Example:
        >>> print(ModelRef(name="tiny", version="1"))
        tiny:1
    """

    name: str
    version: str

    def __post_init__(self) -> None:
        """Refuse anything that is not a name."""
        parse_name(self.name)
        parse_name(self.version)

    def __str__(self) -> str:
        """Write it as `name:version`."""
        return f"{self.name}:{self.version}"


def _matched(pattern: re.Pattern[str], text: object, what: str) -> str:
    if not isinstance(text, str) or pattern.fullmatch(text) is None:
        msg = f"{what} is not well formed"
        raise MalformedError(msg)
    return text
