"""Core: all errors that callers may see, and the values that they carry.

SealflowError
├── ConfigError                 the operator's mistake: where, what, what to do
├── MalformedError              the peer's bytes do not parse
│   └── EnvelopeTooLargeError   an envelope's body is over the limit
├── OpenError                   a sealed message does not open; never says why
├── VerificationError           the other side could not prove what it is
│   ├── EvidenceError           quote, chain, revocation, TCB level, signature, directory
│   └── PolicyError             everything in the claims that the policy does not accept
├── RefusedError                the service answered with a clear-text refusal
├── ModelError                  the request or the model is wrong (travels sealed)
│   ├── InvalidInputError       the request does not fit the model
│   └── BundleError             the model package is broken, forged or unsupported
└── UnavailableError            try again later
    ├── QueueFullError          admission refused; nothing was queued
    ├── DeadlineError           no reply in time
    └── WorkerGoneError         the enclave process ended
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class SealflowError(Exception):
    """Any error that Sealflow raises on purpose."""


class ConfigError(SealflowError):
    """A setting, file or environment is wrong; the message says where and what to do."""


class MalformedError(SealflowError):
    """Bytes from a peer break the format; `what` names the first rule broken."""


class EnvelopeTooLargeError(MalformedError):
    """An envelope's body is over the configured limit."""

    def __init__(self, body_bytes: int, max_body_bytes: int) -> None:
        """Say both sizes."""
        super().__init__(f"envelope: body of {body_bytes} bytes is over the limit {max_body_bytes}")


class OpenError(SealflowError):
    """A sealed message did not open. One constant message: the reason would be an oracle."""

    def __init__(self) -> None:
        """Take nothing, so that nothing can leak."""
        super().__init__("the sealed message does not open")


class VerificationError(SealflowError):
    """The other side did not prove what the policy asks for."""


class EvidenceError(VerificationError):
    """Evidence, a signature or a directory is not genuine, not current or not bound."""

    def __init__(self, code: str, detail: str) -> None:
        """Keep `code` (a stable word such as `quote_signature`) and a sentence for people."""
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class PolicyError(VerificationError):
    """Genuine evidence that the policy does not accept; lists all mismatches."""

    def __init__(self, mismatches: tuple[Mismatch, ...]) -> None:
        """Keep every mismatch as a value."""
        super().__init__("; ".join(str(mismatch) for mismatch in mismatches))
        self.mismatches = mismatches


class RefusedError(SealflowError):
    """The service refused in clear text. Unauthenticated: a hint, never a proof."""

    def __init__(self, code: RefusalCode) -> None:
        """Keep the code of the closed list (docs/spec/envelope.md, section 5)."""
        super().__init__(f"{code.value}: {code.meaning}")
        self.code = code


class ModelError(SealflowError):
    """The model could not answer; `code` is stable, the message is for people."""

    code = "model_failed"


class InvalidInputError(ModelError):
    """The request does not fit the model: wrong name, dtype, shape, size or image."""

    code = "invalid_input"


class BundleError(ModelError):
    """A model package is broken, forged, too large or of an unsupported format."""

    code = "bundle"


class UnavailableError(SealflowError):
    """Temporary: try again after `retry_after_s` seconds."""

    def __init__(self, what: str, *, retry_after_s: float = 1.0) -> None:
        """Keep how long to wait before trying again."""
        super().__init__(what)
        self.retry_after_s = retry_after_s


class QueueFullError(UnavailableError):
    """The queue is at its bound; nothing was queued."""


class DeadlineError(UnavailableError):
    """No reply arrived within the deadline. The request may still be processed."""


class WorkerGoneError(UnavailableError):
    """The enclave process ended; the requests it held are delivered again."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """What differs, and what can be done about it.

    `code`: a stable word, of the list in docs/spec/attestation.md. `field`: the key of the policy
    that asks for it; empty for what no policy can allow.
    """

    code: str
    field: str
    expected: str
    got: str
    hint: str

    def __str__(self) -> str:
        """Write it for people."""
        return f"{self.code}: expected {self.expected}, got {self.got}; {self.hint}"

    def to_json(self) -> dict[str, object]:
        """Return it for machines."""
        return {
            "code": self.code,
            "field": self.field,
            "expected": self.expected,
            "got": self.got,
            "hint": self.hint,
        }
