"""Key broker: challenges for workers, and grants for those whose evidence passes the policy."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from sealflow.attest.evidence import Evidence, Role
from sealflow.attest.policy import appraise
from sealflow.errors import EvidenceError

if TYPE_CHECKING:
    from sealflow.attest.policy import Approval
    from sealflow.trusted.keybroker.vault import Vault
    from sealflow.trusted.quoting import Identity

MAX_CHALLENGES: Final = 1024


class Release:
    """Lets key material out to approved workers only, each answer good for one of them."""

    def __init__(self, identity: Identity, vault: Vault) -> None:
        """Appraise by the deployment's policy for workers."""
        self._identity = identity
        self._policy = identity.deployment.policy(Role.WORKER)
        self._vault = vault
        self._nonces: OrderedDict[str, str] = OrderedDict()

    def challenge(self) -> tuple[str, str]:
        """Draw a challenge: its id and the nonce to be bound into evidence; good for one try."""
        challenge, nonce = secrets.token_hex(16), secrets.token_hex(32)
        self._nonces[challenge] = nonce
        if len(self._nonces) > MAX_CHALLENGES:
            self._nonces.popitem(last=False)
        return challenge, nonce

    def enroll(
        self, challenge: str, evidence: Evidence, directory_version: int
    ) -> tuple[bytes, bytes]:
        """Appraise a worker and give it its sealed grant with the signature over it.

        Raises: KeyError for an unknown or used challenge, EvidenceError, PolicyError.
        """
        nonce = self._nonces.pop(challenge)
        approval: Approval = appraise(evidence, self._policy, self._vault.now_ms, nonce=nonce)
        if self._vault.now_ms >= approval.until_ms:
            raise EvidenceError("collateral", "it is out of date")
        grant = self._vault.grant(directory_version)
        return grant.seal(approval, self._identity.signing)
