"""Owner: the verified state of a service, and sealing of requests to its keys.

Requests can be sealed only to keys of a verified directory. Sans-I/O: directories come in as bytes
and envelopes go out as bytes.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealflow.clock import now_ms
from sealflow.documents.revocation import RevokedKind
from sealflow.errors import ConfigError, EvidenceError, InvalidInputError, UnavailableError
from sealflow.owner.trust.log_proof import LogProof, verify_consistency
from sealflow.owner.trust.name_owners import require_model
from sealflow.owner.trust.pin import DirectoryPin, verify_log_gap
from sealflow.owner.trust.tenant_file import read_tenant_token
from sealflow.seal.exchange import Session
from sealflow.seal.keys import SealingKey
from sealflow.wire.ids import ModelRef

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from sealflow.attest.evidence import Evidence
    from sealflow.attest.policy import Approval
    from sealflow.attest.suites import SuiteName
    from sealflow.documents.directory import Directory, DirectoryKey, DirectoryModel
    from sealflow.owner.trust.pin import LogGap
    from sealflow.owner.trust.policy_file import TrustPolicy
    from sealflow.owner.trust.verified_service import VerifiedService
    from sealflow.seal.content import Parts
    from sealflow.seal.exchange import OutgoingCall

_REFRESH_AT: Final = 2 / 3
"""The part of a directory's lifetime after which a newer directory is fetched."""
_RETRY_REFRESH_MS: Final = 5_000
SESSION_REQUESTS: Final = 2**20
SESSION_MS: Final = 15 * 60_000
"""The limits of a sealing session, as the host can link the requests of one session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateDirectory:
    """A verified directory that is not in use yet.

    `payload`: the bytes that were signed. `gap`: the log records between the pinned directory and
    this one; None if there is nothing to check. `proof`: that its log continues the pinned one, if
    the document has one for what is pinned.
    """

    verified: VerifiedService
    payload: bytes = field(repr=False)
    gap: LogGap | None
    proof: LogProof | None = None


class ServiceSession:
    """The verified directory of a service, its pin, and the sealing session. Thread-safe."""

    def __init__(
        self,
        policy: TrustPolicy,
        *,
        pin: str | os.PathLike[str] | None = None,
        accept_gap: bool = False,
        tenant_token: str | os.PathLike[str] | None = None,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        """Read the pin and the tenant token; nothing is verified yet.

        `policy`: for the key broker. `pin`: the file that stores the newest accepted directory;
        None for memory only (see `DirectoryPin`). `accept_gap`: accept a directory although the log
        between it and the pinned one is withheld. `tenant_token`: the file of a tenant's token,
        which requests carry inside of their seals. `clock_ms`: returns Unix milliseconds.

        Raises: ConfigError when one of the files cannot be read.
        """
        self.tenant_token = None if tenant_token is None else read_tenant_token(tenant_token)
        self._policy = policy
        self._clock_ms = clock_ms
        self._pin = DirectoryPin(None if pin is None else Path(pin))
        self.accept_gap = accept_gap
        self._verified: VerifiedService | None = None
        self._lock = threading.Lock()
        self._sealing: Session | None = None
        self._sealed = 0
        self._sealing_since_ms = 0
        self._next_try_ms = 0

    def require_share_batch(self) -> None:
        """Check that the policy lets requests share batches with other clients' requests.

        Raises: ConfigError.
        """
        if not self._policy.share_batch:
            msg = "the policy keeps batches apart: for share_batch, add share_batch = true to it"
            raise ConfigError(msg)

    @property
    def verified(self) -> VerifiedService | None:
        """The accepted directory with its approval; None before the first one."""
        return self._verified

    def verify_directory(self, document: bytes) -> CandidateDirectory:
        """Verify a published directory with its evidence. It is used only after `accept`.

        Raises: MalformedError, EvidenceError, PolicyError, ConfigError.
        """
        from sealflow.owner.trust.verified_service import verify_directory  # noqa: PLC0415 - loads the verifier

        verified, payload = verify_directory(document, self._policy, self._clock_ms())
        gap = self._pin.gap(verified.directory)
        proof = None
        if gap is not None and gap.tree is not None and verified.log is not None:
            found = LogProof.from_document(document)
            if found is not None and found.size == gap.tree.size:
                proof = found
        return CandidateDirectory(verified=verified, payload=payload, gap=gap, proof=proof)

    @property
    def pinned_log_size(self) -> int | None:
        """The size of the log's tree that is pinned, from which proofs are asked for."""
        pin = self._pin.pin
        return None if pin is None or pin.tree is None else pin.tree.size

    def accept(
        self, candidate: CandidateDirectory, records: Sequence[bytes] = ()
    ) -> VerifiedService:
        """Pin a verified directory and use it from now on.

        `records`: the log records in the candidate's gap, all of them; none if it has a proof.

        Raises: EvidenceError when the directory does not continue the pinned one; UnavailableError
            (`directory_unlinked`) when there are fewer records, unless `accept_gap`; ConfigError
            when the pin file cannot be written. The previous directory then stays in use.
        """
        verified, gap, proof = candidate.verified, candidate.gap, candidate.proof
        if proof is not None and gap is not None and gap.tree and verified.log:
            verify_consistency(gap.tree, verified.log, proof.hashes)
        elif gap is not None:
            try:
                verify_log_gap(gap, records, verified.approval.claims.domain)
            except UnavailableError:
                if not self.accept_gap:
                    raise
        self._pin.accept(verified.directory, candidate.payload, verified.log, gap)
        self._verified = verified
        return verified

    def approve(self, evidence: Evidence, nonce: str) -> Approval:
        """Appraise evidence that a key broker made for a nonce of this client.

        `nonce`: 64 hex digits.

        Raises: EvidenceError, PolicyError.
        """
        from sealflow.attest.policy import appraise  # noqa: PLC0415 - loads the verifier

        return appraise(evidence, self._policy, self._clock_ms(), nonce=nonce)

    def refresh_due(self) -> bool:
        """Return whether a newer directory should be fetched before the next request."""
        now_ms = self._clock_ms()
        if self._verified is None or now_ms >= self._verified.valid_until_ms:
            return True
        directory = self._verified.directory
        if _active_key(directory, now_ms, self._policy.suites) is None:
            return True
        life_ms = directory.expires_ms - directory.issued_ms
        due_ms = directory.issued_ms + int(life_ms * _REFRESH_AT)
        return now_ms >= max(due_ms, self._next_try_ms)

    def postpone_refresh(self) -> bool:
        """Postpone the next fetch by 5 s after one that failed.

        Return whether the accepted directory is still valid and has an active key.
        """
        now_ms = self._clock_ms()
        self._next_try_ms = now_ms + _RETRY_REFRESH_MS
        verified = self._verified
        return (
            verified is not None
            and now_ms < verified.valid_until_ms
            and _active_key(verified.directory, now_ms, self._policy.suites) is not None
        )

    def model(self, name: str) -> DirectoryModel:
        """Return the model called `name` (its default version) or `name:version`.

        Raises: InvalidInputError when the verified directory has no such model.
        """
        directory = self._trusted().directory
        model_name, versioned, version = name.partition(":")
        revoked = directory.revoked_ids(RevokedKind.MODEL)
        named = [
            each
            for each in directory.models
            if each.name == model_name and each.digest not in revoked
        ]
        found = [
            each for each in named if (each.version == version if versioned else each.default)
        ] or (named if not versioned and len(named) == 1 else [])
        if not found:
            served = ", ".join(f"{each.name}:{each.version}" for each in directory.models)
            msg = f"model {name!r} is not in the verified directory, which has {served or 'none'}"
            raise InvalidInputError(msg)
        return found[0]

    @property
    def revoked_workers(self) -> frozenset[str]:
        """The instance ids of the workers that the verified directory lists as revoked."""
        if self._verified is None:
            return frozenset()
        return self._verified.directory.revoked_ids(RevokedKind.WORKER)

    def seal_request(
        self, model: DirectoryModel, parts: Parts, *, timeout_s: float
    ) -> OutgoingCall:
        """Seal a request to the directory's active key.

        `parts`: content of the request. Workers drop the request after `timeout_s` seconds, or
        earlier when the directory allows less.

        Raises: EvidenceError when the directory has expired or the model's name has another owner
            than the pinned one, UnavailableError when no key is active, PolicyError when the policy
            does not accept the model's package or owner.
        """
        pin = self._pin.pin
        require_model(self._policy, model, {} if pin is None else pin.owners)
        now_ms = self._clock_ms()
        directory = self._trusted().directory
        key = _active_key(directory, now_ms, self._policy.suites)
        if key is None:
            error = UnavailableError(
                "the verified directory has no active key of a suite that the policy accepts "
                f"({', '.join(self._policy.suites)}): check that the key broker runs"
            )
            error.code = "directory_no_key"
            raise error
        return self._session(key, now_ms).seal_request(
            ModelRef(name=model.name, version=model.version),
            model.digest,
            parts,
            deadline_ms=now_ms + int(min(timeout_s, directory.deadline_s or timeout_s) * 1000),
        )

    def _session(self, key: DirectoryKey, now_ms: int) -> Session:
        """Return the sealing session for the next request. Spec: exchange.md, 5.3."""
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
            detail = "no verified directory is valid now: fetch a new one and check the clock"
            raise EvidenceError("directory_expired", detail)
        return verified


def _active_key(
    directory: Directory, now_ms: int, suites: Sequence[SuiteName]
) -> DirectoryKey | None:
    """Return the key to seal to, or None. Spec: directory.md, 5.2."""
    # A clock that is behind must not choose a key that a revocation has already ended.
    now_ms = max(now_ms, directory.issued_ms)
    revoked = directory.revoked_ids(RevokedKind.KEY)
    active = [
        key
        for key in directory.keys
        if key.suite.suite_name in suites
        and key.not_before_ms <= now_ms < key.retire_ms
        and key.kid not in revoked
    ]
    return min(
        active,
        key=lambda key: (suites.index(key.suite.suite_name), -key.not_before_ms, key.kid),
        default=None,
    )
