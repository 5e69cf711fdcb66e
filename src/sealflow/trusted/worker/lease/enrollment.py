"""Worker: enrolls with the key broker: both appraise each other, and the worker gets a grant.

Spec: docs/spec/keybroker.md, sections 3 and 4.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from sealflow.attest.evidence import NO_NONCE, Role
from sealflow.attest.policy import appraise
from sealflow.documents.directory import SignedDirectory
from sealflow.documents.grant import MAX_GRANT_BYTES, open_grant
from sealflow.errors import (
    EvidenceError,
    MalformedError,
    OpenError,
    PolicyError,
    UnavailableError,
)
from sealflow.seal.signing import SIGNATURE_BYTES
from sealflow.trusted.port import FatalError
from sealflow.wire.control import error_of
from sealflow.wire.fields import OpenFields
from sealflow.wire.frame_payloads import Fatal
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from sealflow.documents.grant import Grant
    from sealflow.trusted.identity.identity import EnclaveIdentity
    from sealflow.trusted.worker.lease.host_requests import HostRequests

_PERMANENT: Final = ("policy", "evidence")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedKeyBroker:
    """A key broker that the deployment's policy approved.

    `signing_key`: its Ed25519 public key. `valid_until_ms`: end of the approval, in Unix ms.
    """

    signing_key: bytes = field(repr=False)
    valid_until_ms: int


class Enrollment:
    """The exchange by which a worker gets keys and models from the key broker.

        enrollment = Enrollment(identity, host)
        keybroker = enrollment.verify_key_broker(now_ms)  # the worker appraises the key broker
        grant = enrollment.enroll(keybroker)              # the key broker appraises the worker

    A grant contains the private keys of epochs and the content keys of models. It is sealed to this
    worker's evidence for a new nonce of the key broker: no other worker can open it, and an old one
    is refused. A grant of another log, or with an older directory than the last one, ends the
    worker. All messages go through the untrusted host, which can only drop them.

    Enroll again before `Grant.lease_ms`, and when `is_newer` is true of a directory. Spec:
    keybroker.md, sections 3 and 4. Not thread-safe.
    """

    def __init__(self, identity: EnclaveIdentity, host: HostRequests) -> None:
        self._identity = identity
        self._host = host
        self._policy = identity.deployment.policy(Role.KEY_BROKER)
        self._newest_grant: tuple[str, int] | None = None
        self._serves: str | None = None

    def serve(self, owner: str) -> bool:
        """Set the owner whose models alone are asked for; return False if another is set."""
        self._serves = self._serves or owner
        return self._serves == owner

    def verify_key_broker(self, now_ms: int) -> VerifiedKeyBroker:
        """Appraise the evidence in the published directory by the deployment's policy.

        Raises: FatalError with KEY_BROKER_UNTRUSTED when the policy does not approve it;
        UnavailableError when the host or the key broker does not answer; MalformedError when the
        answer is not JSON.
        """
        answer = self._request({"op": "describe"})
        try:
            published = SignedDirectory.from_bytes(canonical_json(answer))
            approval = appraise(published.evidence, self._policy, now_ms, nonce=NO_NONCE)
        except (MalformedError, EvidenceError, PolicyError) as error:
            raise FatalError(Fatal.KEY_BROKER_UNTRUSTED) from error
        return VerifiedKeyBroker(
            signing_key=approval.claims.bound.signing_key, valid_until_ms=approval.valid_until_ms
        )

    def enroll(self, keybroker: VerifiedKeyBroker) -> Grant:
        """Send fresh evidence to the key broker and return the grant that it answers with.

        Raises: FatalError with NOT_APPROVED when the key broker refuses the evidence, with
        KEY_BROKER_ROLLED_BACK when the grant is of another log or an older directory than the last
        one; OpenError when the grant is not from `keybroker` for this worker and challenge;
        MalformedError when an answer does not parse; UnavailableError when the host, the key broker
        or the quoting service does not answer.
        """
        drawn = self._request({"op": "challenge"})
        challenge = OpenFields(drawn, "challenge", ("challenge", "nonce"))
        nonce = challenge.digest("nonce")
        serves = self._serves
        evidence = self._identity.evidence(nonce, serves)
        enrolled = self._request(
            {
                "op": "enroll",
                "challenge": challenge.text("challenge"),
                "evidence": evidence.to_json(),
            }
        )
        answer = OpenFields(enrolled, "enrollment", ("grant", "signature"))
        grant = open_grant(
            answer.base64("grant", MAX_GRANT_BYTES),
            answer.base64("signature", SIGNATURE_BYTES),
            private_key=self._identity.private_key,
            bound=evidence.bound,
            nonce=nonce,
            signer=keybroker.signing_key,
        )
        self._pin(grant)
        # A key broker of an older release ignores `serves`.
        return replace(grant, models=tuple(each for each in grant.models if each.signer == serves))

    def is_newer(self, document: bytes, keybroker: VerifiedKeyBroker, version: int) -> bool:
        """Return whether a published directory is newer than `version`, the grant's.

        Also true when `keybroker` did not sign it, or it does not parse.
        """
        try:
            published = SignedDirectory.from_bytes(document)
            domain = self._identity.deployment.tee.domain
            directory = published.verify_signature(keybroker.signing_key, domain)
        except (MalformedError, EvidenceError):
            return True
        return directory.version > version

    def _pin(self, grant: Grant) -> None:
        """Require the same log and no older directory than in the last grant, and store both."""
        log_id, version = self._newest_grant or (grant.log_id, 0)
        if grant.log_id != log_id or grant.directory_version < version:
            raise FatalError(Fatal.KEY_BROKER_ROLLED_BACK)
        self._newest_grant = grant.log_id, grant.directory_version

    def _request(self, request: dict[str, object]) -> dict[str, object]:
        answer = self._host.ask_key_broker(request)
        error = error_of(answer)
        if error is None:
            return answer
        if error.code in _PERMANENT:
            raise FatalError(Fatal.NOT_APPROVED)
        raise UnavailableError("the key broker or the host refused the request")


GRANT_ERRORS: Final = (OpenError, MalformedError, UnavailableError)
"""Errors that the host or the network can cause, and that another try may not meet."""
