"""Key broker: a standby, which obtains the state key and becomes the leader on a LEAD frame.

The state key was sealed for this machine before, or comes from the leader in exchange for evidence.
Spec: docs/spec/keybroker.md, section 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealflow.attest.evidence import Evidence, Role
from sealflow.attest.policy import appraise
from sealflow.errors import EvidenceError, OpenError, PolicyError
from sealflow.seal.enclave import open_sealed
from sealflow.seal.signing import SIGNATURE_BYTES
from sealflow.trusted.keybroker.leader import KeyBroker
from sealflow.trusted.keybroker.owner_requests import (
    ControlError,
    answer_control_request,
)
from sealflow.trusted.keybroker.state import StateKey, new_state_key
from sealflow.trusted.port import FatalError
from sealflow.wire.fields import Fields
from sealflow.wire.frame_payloads import MAX_SEALED_BYTES, Fatal
from sealflow.wire.frames import FrameKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealflow.trusted.identity.identity import EnclaveIdentity
    from sealflow.trusted.keybroker.leader import Send
    from sealflow.trusted.port import EventJournal


class Standby:
    """A key broker instance before it leads. Not thread-safe.

    `send`: sends one frame to the host. `wrapped`: state keys that were sealed for some machines;
    the first one that opens here is used.
    """

    def __init__(
        self,
        identity: EnclaveIdentity,
        now_ms: int,
        send: Send,
        journal: EventJournal,
        wrapped: Iterable[bytes] = (),
    ) -> None:
        self._identity = identity
        self._now_ms = now_ms
        self._send = send
        self._journal = journal
        self._domain = identity.deployment.tee.domain
        self._nonce_and_bound: tuple[str, bytes] | None = None
        self._key = self._unwrap(wrapped)

    @property
    def has_state_key(self) -> bool:
        """Whether this instance has the state key, so that it may lead an existing log."""
        return self._key is not None

    def advance(self, now_ms: int) -> None:
        """Set the clock to `now_ms`, unless that is earlier."""
        self._now_ms = max(self._now_ms, now_ms)

    def renew_evidence(self) -> None:
        """Do nothing: a standby publishes no evidence, and its next one has the new collateral."""

    def answer(self, request: bytes | memoryview) -> bytes:
        """Return the JSON answer to a request that the host makes on behalf of this instance."""
        return answer_control_request(request, self._answer)

    def lead(self, state: bytes) -> KeyBroker:
        """Become the leader: continue from the sealed `state`, or begin a new log if it is empty.

        Sends the state key, sealed for this machine, to the host.

        Raises: FatalError with STATE when there is no state key, or the state does not open, is of
        another log, or is older than the state key allows.
        """
        if not state:
            key = new_state_key()
            leader = KeyBroker.start_new(
                self._identity, self._now_ms, key, self._send, self._journal
            )
        elif self._key is None:
            raise FatalError(Fatal.STATE)
        else:
            try:
                leader = KeyBroker.resume(
                    self._identity, self._now_ms, state, self._key, self._send, self._journal
                )
            except OpenError as error:
                raise FatalError(Fatal.STATE) from error
        self._send_key(leader.state_key)
        return leader

    def _answer(self, value: dict[str, object]) -> dict[str, object]:
        match value.get("op"):
            case "show":
                nonce = Fields(value, "show", ("op", "nonce")).digest("nonce")
                evidence = self._identity.evidence(nonce)
                self._nonce_and_bound = nonce, evidence.bound
                return {"evidence": evidence.to_json()}
            case "adopt":
                self._key = self._open_state_key(
                    Fields(value, "adopt", ("op", "grant", "signature", "evidence"))
                )
                self._send_key(self._key)
                return {}
            case _:
                raise ControlError(
                    "unknown_op", "this instance is a standby: op must be show or adopt"
                )

    def _open_state_key(self, fields: Fields) -> StateKey:
        """Appraise the leader's evidence and open the state key that it sealed."""
        if self._nonce_and_bound is None:
            raise ControlError("unknown_challenge", "request evidence with op show first")
        (nonce, bound), self._nonce_and_bound = self._nonce_and_bound, None
        policy = self._identity.deployment.policy(Role.KEY_BROKER)
        try:
            evidence = fields.read("evidence", Evidence.from_json)
            leader = appraise(evidence, policy, self._now_ms).claims.bound
            text = open_sealed(
                fields.base64("grant", MAX_SEALED_BYTES),
                fields.base64("signature", SIGNATURE_BYTES),
                private_key=self._identity.private_key,
                bound=bound,
                nonce=nonce,
                signer=leader.signing_key,
                purpose="state key grant",
            )
        except (EvidenceError, PolicyError, OpenError) as error:
            raise ControlError(
                "not_opened", "the state key is not from an approved key broker of this deployment"
            ) from error
        return StateKey.from_bytes(text)

    def _unwrap(self, wrapped: Iterable[bytes]) -> StateKey | None:
        for each in wrapped:
            try:
                return StateKey.unwrap(each, self._identity.platform_key, self._domain)
            except OpenError:
                # It was sealed for another machine, or for another version of the code.
                continue
        return None

    def _send_key(self, key: StateKey) -> None:
        self._send(FrameKind.KEY, key.wrap(self._identity.platform_key, self._domain))
