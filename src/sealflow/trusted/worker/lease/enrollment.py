"""Worker: prove itself to the key broker, which must prove itself first, and open the grant."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealflow.attest.evidence import Role
from sealflow.attest.policy import appraise
from sealflow.documents.directory import SignedDirectory
from sealflow.documents.grant import open_grant
from sealflow.errors import (
    EvidenceError,
    MalformedError,
    OpenError,
    PolicyError,
    UnavailableError,
)
from sealflow.seal.signing import SIGNATURE_BYTES
from sealflow.trusted.port import FatalError
from sealflow.wire.fields import Fields
from sealflow.wire.frame_payloads import Fatal
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from sealflow.documents.grant import Grant
    from sealflow.trusted.identity.identity import EnclaveIdentity
    from sealflow.trusted.worker.lease.host_requests import HostRequests

_MAX_GRANT_BYTES: Final = 2**20
_PERMANENT: Final = ("policy", "evidence")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedKeyBroker:
    """A key broker that passed the deployment's policy. `signing_key`: Ed25519 public key."""

    signing_key: bytes = field(repr=False)
    valid_until_ms: int


class Enrollment:
    """The worker's conversation with its key broker. For one thread."""

    def __init__(self, identity: EnclaveIdentity, host: HostRequests) -> None:
        """Speak as `identity`, by way of the host."""
        self._identity = identity
        self._host = host
        self._policy = identity.deployment.policy(Role.KEY_BROKER)
        self._seen: tuple[str, int] | None = None

    def verify_key_broker(self, now_ms: int) -> VerifiedKeyBroker:
        """Appraise the key broker that answers, by the policy this worker is measured with.

        Raises: FatalError when it does not pass, UnavailableError.
        """
        answer = self._ask({"op": "describe"})
        try:
            published = SignedDirectory.from_bytes(canonical_json(answer))
            approval = appraise(published.evidence, self._policy, now_ms)
        except (MalformedError, EvidenceError, PolicyError) as error:
            raise FatalError(Fatal.KEY_BROKER_UNTRUSTED) from error
        return VerifiedKeyBroker(
            signing_key=approval.claims.bound.signing_key, valid_until_ms=approval.valid_until_ms
        )

    def enroll(self, keybroker: VerifiedKeyBroker) -> Grant:
        """Show fresh evidence and open the grant that it earns.

        Raises: FatalError when the policy does not accept this worker, or the grant is of an older
        state than the last one; OpenError for a grant that another key broker wrote,
        UnavailableError.
        """
        challenge = Fields(self._ask({"op": "challenge"}), "challenge", ("challenge", "nonce"))
        nonce = challenge.digest("nonce")
        evidence = self._identity.evidence(nonce)
        enrolled = self._ask(
            {
                "op": "enroll",
                "challenge": challenge.text("challenge"),
                "evidence": evidence.to_json(),
            }
        )
        answer = Fields(enrolled, "enrollment", ("grant", "signature"))
        grant = open_grant(
            answer.base64("grant", _MAX_GRANT_BYTES),
            answer.base64("signature", SIGNATURE_BYTES),
            opening=self._identity.opening,
            bound=evidence.bound,
            nonce=nonce,
            signer=keybroker.signing_key,
        )
        self._pin(grant)
        return grant

    def newer(self, document: bytes, keybroker: VerifiedKeyBroker, version: int) -> bool:
        """Whether a published directory is another than the grant's, or of another key broker."""
        try:
            published = SignedDirectory.from_bytes(document)
            domain = self._identity.deployment.tee.domain
            directory = published.verify_signature(keybroker.signing_key, domain)
        except (MalformedError, EvidenceError):
            return True
        return directory.version > version

    def _pin(self, grant: Grant) -> None:
        """Refuse what a key broker with an older state, or none, would grant."""
        log_id, version = self._seen or (grant.log_id, 0)
        if grant.log_id != log_id or grant.directory_version < version:
            raise FatalError(Fatal.KEY_BROKER_ROLLED_BACK)
        self._seen = grant.log_id, grant.directory_version

    def _ask(self, request: dict[str, object]) -> dict[str, object]:
        answer = self._host.ask_key_broker(request)
        error = answer.get("error")
        if error is None:
            return answer
        code = error.get("code") if isinstance(error, dict) else None
        if code in _PERMANENT:
            raise FatalError(Fatal.NOT_APPROVED)
        raise UnavailableError("the key broker did not grant it")


GRANT_ERRORS: Final = (OpenError, MalformedError, UnavailableError)
"""What may go wrong for a while, by a host's or a network's fault."""
