"""Key broker: releases keys to approved enclaves: grants to workers, the state key to standbys.

Every release answers a challenge. Spec: docs/spec/keybroker.md, section 3.
"""

from __future__ import annotations

import hmac
import os
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sealflow.attest.evidence import Role
from sealflow.attest.policy import appraise
from sealflow.documents.log import EntryKind
from sealflow.documents.revocation import RevokedKind
from sealflow.errors import EvidenceError, PolicyError
from sealflow.seal.enclave import enclave_sealing_key, seal_to_enclave

if TYPE_CHECKING:
    from sealflow.attest.evidence import Evidence
    from sealflow.attest.policy import Approval
    from sealflow.attest.requirements import Requirements
    from sealflow.documents.grant import Grant
    from sealflow.trusted.identity.identity import EnclaveIdentity
    from sealflow.trusted.keybroker.key_store import KeyStore
    from sealflow.trusted.keybroker.log_writer import LogWriter
    from sealflow.trusted.keybroker.state import StateKey

MAX_RELEASES: Final = 16_384
"""Limit of releases within `CHALLENGE_LIFE_MS`, whose challenges must be remembered."""
CHALLENGE_LIFE_MS: Final = 120_000
"""Time for a slow machine to make a quote; older evidence does not count as fresh."""
_TIME_BYTES: Final = 8
_RANDOM_BYTES: Final = 16
MAX_LOGGED_REFUSALS: Final = 64
"""Limit between two directories: anyone can cause refusals, and would fill the log with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedChallenge:
    """A challenge of this process.

    `nonce`: in the evidence that answers it, in hex. `until_ms`: its end, in Unix ms.
    """

    drawn: bytes
    nonce: str
    until_ms: int


class KeyRelease:
    """Seals keys to single enclaves that the deployment's policy approves, and logs each verdict.

    It is the relying party of RFC 9334. Not thread-safe.
    """

    def __init__(
        self, identity: EnclaveIdentity, key_store: KeyStore, log_writer: LogWriter
    ) -> None:
        self._identity = identity
        self._key_store = key_store
        self._log_writer = log_writer
        self._mac_key = os.urandom(32)
        self._used: OrderedDict[bytes, int] = OrderedDict()
        self._refusals = 0

    def challenge(self) -> tuple[str, str]:
        """Return a new challenge: its id, and the nonce that the evidence must contain.

        It is valid for one release within `CHALLENGE_LIFE_MS`. Nothing is stored for it: its id has
        its time, and its nonce follows from its id by a secret of this process. So a stranger's
        requests take no memory, and nobody's challenge.
        """
        drawn = self._key_store.now_ms.to_bytes(_TIME_BYTES) + os.urandom(_RANDOM_BYTES)
        return (drawn + self._mac(drawn, "challenge")).hex(), self._mac(drawn, "nonce").hex()

    def open_challenge(self, challenge: str) -> OpenedChallenge:
        """Return a challenge that evidence may answer now. Cheap, so do it before all else.

        Raises: KeyError when it is not of this process, its time is over, or it was used.
        """
        now_ms = self._key_store.now_ms
        while self._used and next(iter(self._used.values())) <= now_ms:
            self._used.popitem(last=False)
        try:
            given = bytes.fromhex(challenge)
        except ValueError:
            raise KeyError(challenge) from None
        drawn = given[: _TIME_BYTES + _RANDOM_BYTES]
        opened = OpenedChallenge(
            drawn=drawn,
            nonce=self._mac(drawn, "nonce").hex(),
            until_ms=int.from_bytes(drawn[:_TIME_BYTES]) + CHALLENGE_LIFE_MS,
        )
        if (
            not hmac.compare_digest(given[len(drawn) :], self._mac(drawn, "challenge"))
            or now_ms >= opened.until_ms
            or drawn in self._used
            or len(self._used) >= MAX_RELEASES
        ):
            raise KeyError(challenge)
        return opened

    def enroll(
        self, challenge: OpenedChallenge, evidence: Evidence, directory_version: int
    ) -> tuple[bytes, bytes]:
        """Appraise a worker's evidence and return its sealed grant with the signature over it.

        `directory_version`: of the newest directory, part of the grant.

        Raises: EvidenceError when the evidence is not genuine or the instance is revoked;
        PolicyError when the policy does not accept it; MalformedError when the worker could not
        read the grant.
        """
        nonce = challenge.nonce
        try:
            approval = self._appraise(evidence, Role.WORKER, nonce)
        except (EvidenceError, PolicyError) as error:
            self._log_refusal(error)
            raise
        self._used[challenge.drawn] = challenge.until_ms

        def fits(requirements: Requirements) -> bool:
            return self._fits(evidence, requirements, nonce)

        log_id = self._log_writer.head.log_id
        bound = approval.claims.bound
        grant = self._key_store.grant(bound.instance, bound.serves, fits, log_id, directory_version)
        sealed = grant.seal(approval, self._identity.signing)
        self._log_grant(approval, grant)
        return sealed

    def join(
        self, challenge: OpenedChallenge, evidence: Evidence, key: StateKey
    ) -> tuple[bytes, bytes]:
        """Appraise a standby's evidence and return the sealed state key with its signature.

        Raises: as `enroll`.
        """
        try:
            approval = self._appraise(evidence, Role.KEY_BROKER, challenge.nonce)
        except (EvidenceError, PolicyError) as error:
            self._log_refusal(error)
            raise
        self._used[challenge.drawn] = challenge.until_ms
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
        """Return the number of refusals since the last call that were not logged."""
        unlogged = max(self._refusals - MAX_LOGGED_REFUSALS, 0)
        self._refusals = 0
        return unlogged

    def _mac(self, drawn: bytes, what: str) -> bytes:
        return hmac.digest(self._mac_key, what.encode() + drawn, "sha256")

    def _appraise(self, evidence: Evidence, role: Role, nonce: str) -> Approval:
        policy, now_ms = self._identity.deployment.policy(role), self._key_store.now_ms
        approval = appraise(evidence, policy, now_ms, nonce=nonce)
        enclave_sealing_key(approval.claims)
        if now_ms >= approval.valid_until_ms:
            raise EvidenceError("collateral", "the collateral is out of date: fetch it again")
        if self._key_store.is_revoked(RevokedKind.WORKER, approval.claims.bound.instance):
            raise EvidenceError("revoked", "this instance is revoked: start a new one")
        return approval

    def _fits(self, evidence: Evidence, requirements: Requirements, nonce: str) -> bool:
        """Return whether approved evidence also meets a model owner's requirements."""
        policy = replace(self._identity.deployment.policy(Role.WORKER), requirements=requirements)
        try:
            appraise(evidence, policy, self._key_store.now_ms, nonce=nonce)
        except (EvidenceError, PolicyError):
            return False
        return True

    def _log_grant(self, approval: Approval, grant: Grant) -> None:
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
                "keys": [key.private_key.public_key.key_id for key in grant.keys],
                "models": [model.digest for model in grant.models],
                "serves": bound.serves,
                "until_ms": grant.lease_ms,
                "directory_version": grant.directory_version,
            },
        )

    def _log_refusal(self, error: EvidenceError | PolicyError) -> None:
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
