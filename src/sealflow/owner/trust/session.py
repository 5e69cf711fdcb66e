"""Owner: what a client knows to be true of a service, and the only way to seal a request to it.

Sans-I/O: directories come in as bytes from anywhere, envelopes go out as bytes to anywhere.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealflow.attest.checks import among
from sealflow.clock import now_ms
from sealflow.errors import EvidenceError, InvalidInputError, PolicyError, UnavailableError
from sealflow.owner.trust.pin import DirectoryPin, verify_log_gap
from sealflow.seal.exchange import Session
from sealflow.seal.keys import SealingKey
from sealflow.wire.ids import ModelRef

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sealflow.attest.evidence import Evidence
    from sealflow.attest.policy import Approval
    from sealflow.documents.directory import Directory, DirectoryKey, DirectoryModel
    from sealflow.owner.trust.pin import LogGap
    from sealflow.owner.trust.policy_file import TrustPolicy
    from sealflow.owner.trust.verified_service import VerifiedService
    from sealflow.seal.content import Parts
    from sealflow.seal.exchange import OutgoingCall

_REFRESH_AT: Final = 2 / 3
"""The part of a directory's life after which a newer one is looked for."""
_RETRY_REFRESH_MS: Final = 5_000
SESSION_REQUESTS: Final = 2**20
SESSION_MS: Final = 15 * 60_000
"""A sealing session is over after so many requests or so long: the host can link those of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateDirectory:
    """A verified directory that is not in use yet. `gap`: what it skips after the pinned one."""

    verified: VerifiedService
    payload: bytes = field(repr=False)
    gap: LogGap | None


class ServiceSession:
    """Verifies directories, pins them, and seals requests to the current key. Thread-safe."""

    def __init__(
        self, policy: TrustPolicy, *, pin: Path | None = None, clock_ms: Callable[[], int] = now_ms
    ) -> None:
        """Trust what `policy` accepts, judged at the time of `clock_ms`.

        `pin`: a file that remembers the newest directory over restarts; see `DirectoryPin`.
        Raises: ConfigError.
        """
        self._policy = policy
        self._clock_ms = clock_ms
        self._pin = DirectoryPin(pin)
        self._verified: VerifiedService | None = None
        self._lock = threading.Lock()
        self._sealing: Session | None = None
        self._sealed = 0
        self._sealing_since_ms = 0
        self._next_try_ms = 0

    @property
    def verified(self) -> VerifiedService | None:
        """What was proved last; None before the first directory."""
        return self._verified

    def verify_directory(self, document: bytes) -> CandidateDirectory:
        """Verify a published directory with its evidence; `accept` then uses it.

        Raises: MalformedError, EvidenceError, PolicyError, ConfigError.
        """
        from sealflow.owner.trust.verified_service import verify_directory  # noqa: PLC0415 - loads the verifier

        verified, payload = verify_directory(document, self._policy, self._clock_ms())
        gap = self._pin.gap(verified.directory)
        return CandidateDirectory(verified=verified, payload=payload, gap=gap)

    def accept(
        self, candidate: CandidateDirectory, records: Sequence[bytes] = ()
    ) -> VerifiedService:
        """Use a verified directory from now on, unless it does not continue the one before.

        `records`: what the log has in the candidate's gap; without them the links are not checked.
        Raises: EvidenceError, ConfigError; what was trusted before stays.
        """
        verified, gap = candidate.verified, candidate.gap
        if gap is not None and len(records) == gap.until - gap.after:
            verify_log_gap(gap, records, verified.approval.claims.domain)
        self._pin.accept(verified.directory, candidate.payload)
        self._verified = verified
        return verified

    def approve(self, evidence: Evidence, nonce: str) -> Approval:
        """Appraise a key broker that answered our nonce, 64 hex digits, just now.

        Raises: EvidenceError, PolicyError.
        """
        from sealflow.attest.policy import appraise  # noqa: PLC0415 - loads the verifier

        return appraise(evidence, self._policy, self._clock_ms(), nonce=nonce)

    def refresh_due(self) -> bool:
        """Whether a newer directory should be fetched before the next request."""
        now_ms = self._clock_ms()
        if self._verified is None or now_ms >= self._verified.valid_until_ms:
            return True
        directory = self._verified.directory
        if _active_key(directory, now_ms) is None:
            return True
        life_ms = directory.expires_ms - directory.issued_ms
        due_ms = directory.issued_ms + int(life_ms * _REFRESH_AT)
        return now_ms >= max(due_ms, self._next_try_ms)

    def postpone_refresh(self) -> bool:
        """Go on with what is valid after a failed fetch; False when nothing valid is left."""
        now_ms = self._clock_ms()
        self._next_try_ms = now_ms + _RETRY_REFRESH_MS
        verified = self._verified
        return (
            verified is not None
            and now_ms < verified.valid_until_ms
            and _active_key(verified.directory, now_ms) is not None
        )

    def model(self, name: str) -> DirectoryModel:
        """Find a model by `name` (its default version) or `name:version`.

        Raises: InvalidInputError when the verified directory has no such model.
        """
        directory = self._trusted().directory
        wanted, _, version = name.partition(":")
        named = [each for each in directory.models if each.name == wanted]
        found = [
            each for each in named if (each.version == version if version else each.default)
        ] or (named if not version and len(named) == 1 else [])
        if not found:
            served = ", ".join(f"{each.name}:{each.version}" for each in directory.models)
            msg = f"no model {name!r} in the verified directory; it has {served or 'none'}"
            raise InvalidInputError(msg)
        return found[0]

    def seal_request(
        self, model: DirectoryModel, parts: Parts, *, timeout_s: float
    ) -> OutgoingCall:
        """Seal one request to the key in force, for workers to drop after `timeout_s`.

        Raises: EvidenceError when the directory ran out, UnavailableError when no key is in force,
        PolicyError for a package that the policy does not name.
        """
        _require_model(self._policy, model)
        now_ms = self._clock_ms()
        key = _active_key(self._trusted().directory, now_ms)
        if key is None:
            msg = "the verified directory has no key in force: the key broker may be behind"
            raise UnavailableError(msg)
        return self._session(key, now_ms).seal_request(
            ModelRef(name=model.name, version=model.version),
            model.digest,
            parts,
            deadline_ms=now_ms + int(timeout_s * 1000),
        )

    def _session(self, key: DirectoryKey, now_ms: int) -> Session:
        """The session for the next request. Spec: exchange.md, 5.3."""
        with self._lock:
            session = self._sealing
            if (
                session is None
                or session.key.key_id != key.kid
                or self._sealed >= SESSION_REQUESTS
                or not 0 <= now_ms - self._sealing_since_ms < SESSION_MS
            ):
                session = Session.start(SealingKey(suite=key.suite, public=key.public))
                self._sealing, self._sealed, self._sealing_since_ms = session, 0, now_ms
            self._sealed += 1
            return session

    def _trusted(self) -> VerifiedService:
        verified = self._verified
        if verified is None or self._clock_ms() >= verified.valid_until_ms:
            detail = "no verified directory is valid now: fetch a current one, check the clock"
            raise EvidenceError("directory_expired", detail)
        return verified


def _require_model(policy: TrustPolicy, model: DirectoryModel) -> None:
    accepted = policy.models.get(model.name, frozenset())
    if policy.models and model.digest not in accepted:
        raise PolicyError(
            tuple(
                among(
                    "model",
                    f"models.{model.name}",
                    accepted,
                    model.digest,
                    "this package is not one that the policy names: ask the model's owner",
                )
            )
        )


def _active_key(directory: Directory, now_ms: int) -> DirectoryKey | None:
    active = [key for key in directory.keys if key.not_before_ms <= now_ms < key.retire_ms]
    return max(active, key=lambda key: (key.suite.post_quantum, key.not_before_ms), default=None)
