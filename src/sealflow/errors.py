"""Core, pure: every error that Sealflow raises, split first by whose fault it is.

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

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sealflow.attest.mismatch import Mismatch
    from sealflow.wire.refusal import RefusalCode


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
