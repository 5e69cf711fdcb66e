"""Key broker: challenges, and what those get whose evidence passes: grants, or the state's key."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sealflow.attest.evidence import Role
from sealflow.attest.policy import appraise
from sealflow.documents.log import EntryKind
from sealflow.documents.revocation import RevokedKind
from sealflow.errors import EvidenceError, PolicyError
from sealflow.seal.enclave import seal_to_enclave

if TYPE_CHECKING:
    from sealflow.attest.evidence import Evidence
    from sealflow.attest.policy import Approval
    from sealflow.attest.requirements import Requirements
    from sealflow.documents.grant import Grant
    from sealflow.trusted.identity.identity import EnclaveIdentity
    from sealflow.trusted.keybroker.key_store import KeyStore
    from sealflow.trusted.keybroker.log_writer import LogWriter
    from sealflow.trusted.keybroker.state import StateKey

MAX_CHALLENGES: Final = 1024
CHALLENGE_LIFE_MS: Final = 120_000
"""Long enough for a quote from a slow machine; what is older says nothing about now."""
MAX_LOGGED_REFUSALS: Final = 64
"""Between two directories: strangers can be refused as often as they like."""


class KeyRelease:
    """Lets key material out to approved enclaves only, each answer good for one of them."""

    def __init__(
        self, identity: EnclaveIdentity, key_store: KeyStore, log_writer: LogWriter
    ) -> None:
        """Appraise by the deployment's policies; write every verdict into the log."""
        self._identity = identity
        self._key_store = key_store
        self._log_writer = log_writer
        self._nonces: OrderedDict[str, tuple[str, int]] = OrderedDict()
        self._refusals = 0

    def challenge(self) -> tuple[str, str]:
        """Draw a challenge: its id and the nonce to be bound into evidence.

        It is good for one try, within `CHALLENGE_LIFE_MS`.
        """
        challenge, nonce = secrets.token_hex(16), secrets.token_hex(32)
        self._nonces[challenge] = nonce, self._key_store.now_ms + CHALLENGE_LIFE_MS
        if len(self._nonces) > MAX_CHALLENGES:
            self._nonces.popitem(last=False)
        return challenge, nonce

    def enroll(
        self, challenge: str, evidence: Evidence, directory_version: int
    ) -> tuple[bytes, bytes]:
        """Appraise a worker and give it its sealed grant with the signature over it.

        Raises: KeyError for an unknown, used or old challenge, EvidenceError, PolicyError.
        """
        nonce = self._use_challenge(challenge)
        try:
            approval = self._appraise(evidence, Role.WORKER, nonce)
        except (EvidenceError, PolicyError) as error:
            self._note_refusal(error)
            raise

        def fits(demands: Requirements) -> bool:
            return self._fits(evidence, demands, nonce)

        log_id = self._log_writer.head.log_id
        grant = self._key_store.grant(fits, log_id, directory_version)
        self._note_grant(approval, grant)
        return grant.seal(approval, self._identity.signing)

    def join(self, challenge: str, evidence: Evidence, key: StateKey) -> tuple[bytes, bytes]:
        """Appraise another key broker and give it the state's key, sealed and signed.

        Raises: as `enroll`.
        """
        nonce = self._use_challenge(challenge)
        try:
            approval = self._appraise(evidence, Role.KEY_BROKER, nonce)
        except (EvidenceError, PolicyError) as error:
            self._note_refusal(error)
            raise
        self._append(
            EntryKind.JOINED,
            {
                "instance": approval.claims.bound.instance,
                "measurement": approval.claims.measurement,
                "policy_digest": approval.policy_digest,
            },
        )
        current = replace(key, number=self._log_writer.head.number)
        return seal_to_enclave(
            current.to_bytes(), approval, self._identity.signing, "state key grant"
        )

    def take_unlogged(self) -> int:
        """How many refusals did not fit into the log since the last call."""
        over = max(self._refusals - MAX_LOGGED_REFUSALS, 0)
        self._refusals = 0
        return over

    def _use_challenge(self, challenge: str) -> str:
        nonce, until_ms = self._nonces.pop(challenge)
        if self._key_store.now_ms >= until_ms:
            raise KeyError(challenge)
        return nonce

    def _appraise(self, evidence: Evidence, role: Role, nonce: str) -> Approval:
        policy, now_ms = self._identity.deployment.policy(role), self._key_store.now_ms
        approval = appraise(evidence, policy, now_ms, nonce=nonce)
        if now_ms >= approval.valid_until_ms:
            raise EvidenceError("collateral", "it is out of date")
        if self._key_store.is_revoked(RevokedKind.WORKER, approval.claims.bound.instance):
            raise EvidenceError("revoked", "this instance was revoked: start a new one")
        return approval

    def _fits(self, evidence: Evidence, demands: Requirements, nonce: str) -> bool:
        """Whether evidence that the deployment's policy accepted is good enough for an owner."""
        policy = replace(self._identity.deployment.policy(Role.WORKER), requirements=demands)
        try:
            appraise(evidence, policy, self._key_store.now_ms, nonce=nonce)
        except (EvidenceError, PolicyError):
            return False
        return True

    def _note_grant(self, approval: Approval, grant: Grant) -> None:
        claims, bound = approval.claims, approval.claims.bound
        self._append(
            EntryKind.VERDICT,
            {
                "approved": True,
                "instance": bound.instance,
                "tee": bound.tee.value,
                "measurement": claims.measurement,
                "tcb_status": claims.tcb_status,
                "policy_digest": approval.policy_digest,
            },
        )
        self._append(
            EntryKind.GRANT,
            {
                "instance": bound.instance,
                "signing_key": bound.signing_key.hex(),
                "keys": [key.opening.sealing.key_id for key in grant.keys],
                "models": [model.digest for model in grant.models],
                "until_ms": grant.lease_ms,
                "directory_version": grant.directory_version,
            },
        )

    def _note_refusal(self, error: EvidenceError | PolicyError) -> None:
        self._refusals += 1
        if self._refusals <= MAX_LOGGED_REFUSALS:
            codes = (
                [error.code]
                if isinstance(error, EvidenceError)
                else sorted({mismatch.code for mismatch in error.mismatches})
            )
            self._append(EntryKind.VERDICT, {"approved": False, "codes": codes})

    def _append(self, kind: EntryKind, body: dict[str, object]) -> None:
        self._log_writer.append(kind, self._key_store.now_ms, body)
