"""Core, pure, stdlib only: the closed list of answers that travel in clear text."""

from __future__ import annotations

import enum
from typing import Final


class RefusalCode(enum.Enum):
    """Why a request was answered without being opened. Spec: envelope.md, section 5.

    A refusal is not authenticated, so a client treats it as a hint.
    """

    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    UNKNOWN_KEY = "unknown_key"
    UNKNOWN_MODEL = "unknown_model"
    EXPIRED = "expired"
    REPLAYED = "replayed"
    NOT_OPENED = "not_opened"
    OVERLOADED = "overloaded"
    UNDELIVERABLE = "undeliverable"
    UNAVAILABLE = "unavailable"

    @property
    def meaning(self) -> str:
        """What it means, for people."""
        return _MEANINGS[self]


_MEANINGS: Final = {
    RefusalCode.MALFORMED: "the envelope breaks the format",
    RefusalCode.TOO_LARGE: "the envelope is over the size limit",
    RefusalCode.UNKNOWN_KEY: "the key is unknown or expired: refresh the directory",
    RefusalCode.UNKNOWN_MODEL: "no such model and version is served here",
    RefusalCode.EXPIRED: "the deadline passed before a worker took the request",
    RefusalCode.REPLAYED: "this request id was seen before: seal the request anew",
    RefusalCode.NOT_OPENED: "the envelope does not open",
    RefusalCode.OVERLOADED: "a bound is reached: try again later",
    RefusalCode.UNDELIVERABLE: "no worker survived this request: it was set aside",
    RefusalCode.UNAVAILABLE: "no worker can serve now: try again later",
}
