"""Host: map refusal codes and errors to HTTP status codes."""

from __future__ import annotations

from typing import Final

from sealflow.errors import (
    DeadlineError,
    EnvelopeTooLargeError,
    MalformedError,
    QueueFullError,
    RefusalCode,
    RefusedError,
    SealflowError,
    UnavailableError,
)
from sealflow.wire.envelope import MAGIC, PREFIX_LENGTH, Envelope, Kind, RefusalHeader

HTTP_STATUS: Final = {
    RefusalCode.MALFORMED: 400,
    RefusalCode.TOO_LARGE: 413,
    RefusalCode.UNKNOWN_KEY: 409,
    RefusalCode.UNKNOWN_MODEL: 404,
    RefusalCode.EXPIRED: 504,
    RefusalCode.DEADLINE_FAR: 400,
    RefusalCode.REPLAYED: 409,
    RefusalCode.NOT_OPENED: 422,
    RefusalCode.OVERLOADED: 429,
    RefusalCode.UNDELIVERABLE: 502,
    RefusalCode.UNAVAILABLE: 503,
}

_REFUSAL_OF: Final[tuple[tuple[type[SealflowError], RefusalCode], ...]] = (
    (QueueFullError, RefusalCode.OVERLOADED),
    (DeadlineError, RefusalCode.EXPIRED),
    (UnavailableError, RefusalCode.UNAVAILABLE),
    (EnvelopeTooLargeError, RefusalCode.TOO_LARGE),
    (MalformedError, RefusalCode.MALFORMED),
)


def refusal_of(error: SealflowError) -> RefusalCode:
    """Return the refusal code for an error of the gateway; `unavailable` if none fits."""
    if isinstance(error, RefusedError):
        return error.code
    for kind, code in _REFUSAL_OF:
        if isinstance(error, kind):
            return code
    return RefusalCode.UNAVAILABLE


def http_status(reply: bytes) -> int:
    """Return the HTTP status for a reply from the queue.

    It is 200 for a sealed reply, that of `HTTP_STATUS` for a refusal, and 502 for anything else.
    """
    if len(reply) < PREFIX_LENGTH or reply[: len(MAGIC)] != MAGIC:
        return 502
    if reply[len(MAGIC)] == Kind.REPLY:
        return 200
    try:
        header = Envelope.from_bytes(reply, max_body_bytes=0).header
    except MalformedError:
        return 502
    return HTTP_STATUS[header.code] if isinstance(header, RefusalHeader) else 502
