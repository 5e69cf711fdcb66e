"""Core: all errors that callers may see, and the values that they carry.

SealflowError
├── ConfigError                 the operator's mistake: where, what, what to do
├── MalformedError              the peer's bytes do not parse
│   ├── EnvelopeTooLargeError   an envelope's body is over the limit
│   └── NewerFormatError        a document of a newer release, which this one cannot read
├── OpenError                   a sealed message does not open; never says why
├── VerificationError           the other side could not prove what it is
│   ├── EvidenceError           quote, chain, revocation, TCB level, signature, directory
│   └── PolicyError             everything in the claims that the policy does not accept
├── RefusedError                the service answered with a clear-text refusal
├── ModelError                  the request or the model is wrong (travels sealed)
│   ├── InvalidInputError       the request does not fit the model
│   ├── TenantRefusedError      the request has no valid tenant token
│   ├── QuotaExceededError      the tenant has used its quota or its share
│   └── BundleError             the model package is broken, forged or unsupported
└── UnavailableError            try again later
    ├── QueueFullError          admission refused; nothing was queued
    ├── DeadlineError           no reply in time
    └── WorkerGoneError         the enclave process ended

Every error has a `code` for programs and a `hint` for people: docs/reference/errors.md.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from sealflow.evidence_hints import EVIDENCE_HINTS, NEWER_RELEASE_HINT


class SealflowError(Exception):
    """Any error that Sealflow raises on purpose. The message says what is wrong, and where.

    Attributes:
        code: A stable word for programs, of the list in docs/reference/errors.md.
        hint: The next step, as a sentence for people.

    Example:
        >>> print(SealflowError("a defect").to_json()["code"])
        error
    """

    code: str = "error"
    hint: str = "Report this error with its message: it is a defect."

    def to_json(self) -> dict[str, object]:
        """Return code, message and hint for machines.

        Returns:
            `code`, `error` (the message) and `hint`, each a string.
        """
        return {"code": self.code, "error": str(self), "hint": self.hint}


class ConfigError(SealflowError):
    """A setting, a file or the environment is wrong; the message says where and what to do.

    Example:
        >>> print(ConfigError("the policy file is missing").code)
        config
    """

    code = "config"
    hint = "Correct the file, option or setting that the message names, then run it again."


class MalformedError(SealflowError):
    """Bytes from a peer, or a value, break a format; the message names the first rule broken.

    Example:
        >>> print(MalformedError("pin: not JSON").code)
        malformed
    """

    code = "malformed"
    hint = "Use clients and a service of the same release, and read files as they were written."


class EnvelopeTooLargeError(MalformedError):
    """An envelope's body is over the configured limit.

    Args:
        body_bytes: Size of the body in bytes.
        max_body_bytes: The limit in bytes.

    Example:
        >>> print(EnvelopeTooLargeError(70_000_000, 67_108_864))
        envelope: body of 70000000 bytes is over the limit 67108864
    """

    code = "envelope_too_large"
    hint = "Send less in one request, such as fewer or smaller images."

    def __init__(self, body_bytes: int, max_body_bytes: int) -> None:
        super().__init__(f"envelope: body of {body_bytes} bytes is over the limit {max_body_bytes}")


class NewerFormatError(MalformedError):
    """A document says that only a newer release can read it.

    Args:
        code: `format` for another number of the format, `critical` for an unknown field that every
            reader must know. Spec: versions.md.
        detail: What is newer, for people.

    Example:
        >>> print(NewerFormatError("format", "pin: format 2 is not 1"))
        pin: format 2 is not 1
    """

    code = "format"
    hint = NEWER_RELEASE_HINT

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class OpenError(SealflowError):
    """A sealed message did not open. One constant message: the reason would be an oracle.

    Example:
        >>> print(OpenError())
        the sealed message does not open
    """

    code = "open_failed"
    hint = "Send the request again; if this stays, a process on the way changes messages."

    def __init__(self) -> None:
        super().__init__("the sealed message does not open")


class VerificationError(SealflowError):
    """The other side did not prove what the policy asks for. Nothing was sent to it.

    Either an `EvidenceError` or a `PolicyError`.

    Example:
        >>> try:
        ...     Client("http://127.0.0.1:8470", policy="other.toml").verify()
        ... except VerificationError as error:
        ...     print(error.code)
        policy
    """

    code = "verification"
    hint = "Send nothing there; ask the operator what runs, and the owner what should."


class EvidenceError(VerificationError):
    """Evidence, a signature or a directory is not genuine, not current or not bound.

    Args:
        code: A stable word, such as `quote_signature`: docs/reference/errors.md.
        detail: What is wrong, for people.

    Example:
        >>> try:
        ...     audit_log([b"not a log"], load_policy(".sealflow/client.toml"))
        ... except EvidenceError as error:
        ...     print(error.code)
        log_chain
    """

    code = "evidence"

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        family = code.partition("_")[0]
        self.hint = EVIDENCE_HINTS.get(code) or EVIDENCE_HINTS.get(family, self.hint)


class PolicyError(VerificationError):
    """Genuine evidence that the policy does not accept.

    Args:
        mismatches: Every difference, not only the first.

    Example:
        >>> try:
        ...     Client("http://127.0.0.1:8470", policy="other.toml").verify()
        ... except PolicyError as error:
        ...     print([mismatch.code for mismatch in error.mismatches])
        ['measurement']
    """

    code = "policy"

    def __init__(self, mismatches: tuple[Mismatch, ...]) -> None:
        super().__init__("; ".join(str(mismatch) for mismatch in mismatches))
        self.mismatches = mismatches
        self.hint = "; ".join(dict.fromkeys(mismatch.hint for mismatch in mismatches))

    def to_json(self) -> dict[str, object]:
        """Return code, message, hint and all mismatches for machines.

        Returns:
            As `SealflowError.to_json`, with `mismatches`: a list of `Mismatch.to_json`.
        """
        found = super().to_json()
        return {**found, "mismatches": [mismatch.to_json() for mismatch in self.mismatches]}


class RefusedError(SealflowError):
    """The service refused in clear text. Anyone on the way can do so: a hint, never a proof.

    Args:
        code: Why, of the closed list in docs/spec/envelope.md, section 5.

    Example:
        >>> print(RefusedError(RefusalCode.UNKNOWN_MODEL).hint)
        Name a model and a version that `sealflow model list` shows.
    """

    code: RefusalCode

    def __init__(self, code: RefusalCode) -> None:
        super().__init__(f"{code.value}: {code.meaning}")
        self.code = code
        self.hint = code.hint


class ModelError(SealflowError):
    """The model could not answer; the worker said so, sealed.

    Example:
        >>> print(ModelError("the model failed").code)
        model_failed
    """

    code = "model_failed"
    hint = "Try another input; if the model fails on it too, tell the model's owner."


class InvalidInputError(ModelError):
    """The request does not fit the model: wrong name, datatype, shape, size or image.

    Example:
        >>> print(InvalidInputError("model tiny has no input 'y'").code)
        invalid_input
    """

    code = "invalid_input"
    hint = "Correct the input; `client.verify().models` says what each model takes."


class TenantRefusedError(ModelError):
    """The deployment serves tenants, and the request has no valid token of one.

    Example:
        >>> print(TenantRefusedError("the tenant token is over").code)
        tenant_refused
    """

    code = "tenant_refused"
    hint = "Ask the tenant authority for a token (`sealflow tenants create`), and pass its file."


class QuotaExceededError(ModelError):
    """The tenant has used up a quota, or has its share of the worker in work.

    Example:
        >>> print(QuotaExceededError("the quota of rows is used up").code)
        quota_exceeded
    """

    code = "quota_exceeded"
    hint = "Send less at once, or wait for the next period; the tenant authority sets the quotas."


class BundleError(ModelError):
    """A model package is broken, forged, too large or of an unsupported format.

    Example:
        >>> print(BundleError("the package is not whole").code)
        bundle
    """

    code = "bundle"
    hint = "Pack the model anew with `sealflow model pack`, with your own owner's key."


class UnavailableError(SealflowError):
    """Temporary: try again after `retry_after_s` seconds.

    Args:
        what: What is not available.
        retry_after_s: How long to wait before the next try, in seconds.

    Example:
        >>> print(UnavailableError("the gateway is away").retry_after_s)
        1.0
    """

    code = "unavailable"
    hint = "Try again in some seconds; `sealflow status` shows what runs."

    def __init__(self, what: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(what)
        self.retry_after_s = retry_after_s


class QueueFullError(UnavailableError):
    """The queue is at its bound; nothing was queued.

    Example:
        >>> print(QueueFullError("the queue stayed full").code)
        queue_full
    """

    code = "queue_full"
    hint = "Take results, or send fewer requests at once; the operator can add workers."


class DeadlineError(UnavailableError):
    """No reply arrived within the deadline. The request may still be processed.

    Example:
        >>> print(DeadlineError("no reply in time").code)
        deadline
    """

    code = "deadline"
    hint = "Raise timeout_s, or try again; `sealflow status` shows how long the queue is."


class WorkerGoneError(UnavailableError):
    """An enclave process ended. Raised on the operator's machines, never to a client.

    The requests that it held are delivered to another worker.

    Example:
        >>> print(WorkerGoneError("worker 3 ended").code)
        worker_gone
    """

    code = "worker_gone"
    hint = "Wait: its requests are delivered again; the engine's log says why it ended."


class RefusalCode(enum.StrEnum):
    """Why a request was answered without being opened. Spec: envelope.md, section 5.

    A refusal is not authenticated, so a client treats it as a hint.

    Example:
        >>> RefusalCode("replayed").meaning
        'this request id was seen before'
    """

    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    UNKNOWN_KEY = "unknown_key"
    UNKNOWN_MODEL = "unknown_model"
    EXPIRED = "expired"
    DEADLINE_FAR = "deadline_far"
    REPLAYED = "replayed"
    NOT_OPENED = "not_opened"
    OVERLOADED = "overloaded"
    UNDELIVERABLE = "undeliverable"
    UNAVAILABLE = "unavailable"

    @property
    def meaning(self) -> str:
        """The meaning, as a clause for people."""
        return _MEANINGS[self]

    @property
    def hint(self) -> str:
        """The next step, as a sentence for people."""
        return _REFUSAL_HINTS[self]


_MEANINGS: Final = {
    RefusalCode.MALFORMED: "the envelope breaks the format",
    RefusalCode.TOO_LARGE: "the envelope is over the size limit",
    RefusalCode.UNKNOWN_KEY: "the key is unknown or expired",
    RefusalCode.UNKNOWN_MODEL: "no such model and version is served here",
    RefusalCode.EXPIRED: "the deadline passed before a worker took the request",
    RefusalCode.DEADLINE_FAR: "the deadline is further ahead than the deployment allows",
    RefusalCode.REPLAYED: "this request id was seen before",
    RefusalCode.NOT_OPENED: "the envelope does not open",
    RefusalCode.OVERLOADED: "a bound is reached",
    RefusalCode.UNDELIVERABLE: "no worker survived this request: it was dead-lettered",
    RefusalCode.UNAVAILABLE: "no worker can serve now",
}
_REFUSAL_HINTS: Final = {
    RefusalCode.MALFORMED: "Use a client of the service's release.",
    RefusalCode.TOO_LARGE: EnvelopeTooLargeError.hint,
    RefusalCode.UNKNOWN_KEY: "Try again: the client first fetches the current keys.",
    RefusalCode.UNKNOWN_MODEL: "Name a model and a version that `sealflow model list` shows.",
    RefusalCode.EXPIRED: "Raise timeout_s; the operator can add workers.",
    RefusalCode.DEADLINE_FAR: "Check this machine's clock; install a current client.",
    RefusalCode.REPLAYED: "Send the request again: the client seals it anew.",
    RefusalCode.NOT_OPENED: OpenError.hint,
    RefusalCode.OVERLOADED: QueueFullError.hint,
    RefusalCode.UNDELIVERABLE: "Do not send this input again before the model's owner tried it.",
    RefusalCode.UNAVAILABLE: UnavailableError.hint,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """One difference between what a policy demands and what the service proved.

    Attributes:
        code: A stable word, of the lists in docs/spec/attestation.md, section 4.
        field: The key of the policy that asks for it; empty for what no policy can allow.
        expected: What the policy demands.
        got: What the service proved.
        hint: The next step, for people.

    Example:
        >>> found = Mismatch(code="svn", field="min_svn", expected="3", got="2", hint="update it")
        >>> print(found)
        svn: expected 3, got 2; update it
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
        """Return all fields for machines.

        Returns:
            The fields by their names, each a string.
        """
        return {
            "code": self.code,
            "field": self.field,
            "expected": self.expected,
            "got": self.got,
            "hint": self.hint,
        }
