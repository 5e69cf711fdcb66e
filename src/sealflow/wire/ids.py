"""Core, pure, stdlib only: identifiers, and their parsers. Identifiers are not secret."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Final, NewType

from sealflow.errors import MalformedError

RequestId = NewType("RequestId", str)
"""32 lower-case hex digits: 16 random bytes, new for every sealed request."""

SessionId = NewType("SessionId", str)
"""32 lower-case hex digits: 16 random bytes, new for every session."""

KeyId = NewType("KeyId", str)
"""64 lower-case hex digits, after `sim-` if the key belongs to the simulated trust domain."""

_REQUEST_ID = re.compile(r"[0-9a-f]{32}")
_KEY_ID = re.compile(r"(?:sim-)?[0-9a-f]{64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SHOWN: Final = 64
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")


def shown(value: object) -> str:
    """Return the start of a value for a message, in ASCII."""
    # A slice first, as the value may be of any length; other values than text may be, too.
    text = ascii(value[:_SHOWN]) if isinstance(value, str) else type(value).__name__
    return f"{text} and more" if isinstance(value, str) and len(value) > _SHOWN else text


def new_request_id() -> RequestId:
    """Return a new request id from the system's random source."""
    return RequestId(secrets.token_hex(16))


def new_session_id() -> SessionId:
    """Return a new session id from the system's random source."""
    return SessionId(secrets.token_hex(16))


def parse_request_id(text: object) -> RequestId:
    """Return a request id, exactly 32 lower-case hex digits.

    Raises: MalformedError for anything else.
    """
    return RequestId(_matched(_REQUEST_ID, text, "request id", "32 lower-case hex digits"))


def parse_session_id(text: object) -> SessionId:
    """Return a session id, exactly 32 lower-case hex digits.

    Raises: MalformedError for anything else.
    """
    return SessionId(_matched(_REQUEST_ID, text, "session id", "32 lower-case hex digits"))


def parse_key_id(text: object) -> KeyId:
    """Return a key id, 64 lower-case hex digits with an optional `sim-` prefix.

    Raises: MalformedError for anything else.
    """
    return KeyId(
        _matched(_KEY_ID, text, "key id", "64 lower-case hex digits, perhaps with sim- before")
    )


def parse_digest(text: object) -> str:
    """Return a digest (or key of 32 bytes), exactly 64 lower-case hex digits.

    Raises: MalformedError for anything else.
    """
    return _matched(_DIGEST, text, "digest", "64 lower-case hex digits")


def parse_name(text: object) -> str:
    """Return a name of 1 to 64 letters, digits, `.`, `_`, `-`, with a letter or digit at both ends.

    Raises: MalformedError for anything else.
    """
    return _matched(
        _NAME,
        text,
        "name",
        "1 to 64 letters, digits, '.', '_' and '-', with a letter or digit at both ends",
    )


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
        """Check the form of both names."""
        parse_name(self.name)
        parse_name(self.version)

    def __str__(self) -> str:
        """Return `name:version`."""
        return f"{self.name}:{self.version}"


def _matched(pattern: re.Pattern[str], text: object, what: str, rule: str) -> str:
    if not isinstance(text, str) or pattern.fullmatch(text) is None:
        msg = f"{what} {shown(text)} is not {rule}"
        raise MalformedError(msg)
    return text
