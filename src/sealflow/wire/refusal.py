"""Core, pure, stdlib only: the closed list of answers that travel in clear text."""

from __future__ import annotations

import enum


class RefusalCode(enum.Enum):
    """Why a request was answered without being opened. Spec: envelope.md, section 5.

    A refusal is not authenticated, so a client treats it as a hint.
    """

    meaning: str
    retriable: bool

    def __new__(cls, code: str, meaning: str, retriable: bool) -> RefusalCode:  # noqa: FBT001 - enum row
        """Make a member of the code, what it means to people and whether to seal and send again."""
        member = object.__new__(cls)
        member._value_ = code
        member.meaning = meaning
        member.retriable = retriable
        return member

    MALFORMED = ("malformed", "the envelope breaks the format", False)
    TOO_LARGE = ("too_large", "the envelope is over the size limit", False)
    UNKNOWN_KEY = ("unknown_key", "the key is unknown or expired: refresh the directory", True)
    UNKNOWN_MODEL = ("unknown_model", "no such model and version is served here", False)
    EXPIRED = ("expired", "the deadline passed before a worker took the request", False)
    REPLAYED = ("replayed", "this request id was seen before: seal the request anew", False)
    NOT_OPENED = ("not_opened", "the envelope does not open", False)
    OVERLOADED = ("overloaded", "the worker is at its bound: try again later", True)
    UNDELIVERABLE = ("undeliverable", "no worker survived this request: set aside", False)
    UNAVAILABLE = ("unavailable", "no worker can serve now: try again later", True)
