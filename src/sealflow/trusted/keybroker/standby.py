"""Key broker: an instance that waits: it gets the state's key, and takes over when told to lead.

The key comes from what this machine sealed before, or from the instance that leads, by evidence.
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
    """One instance before it leads. Not for several threads."""

    def __init__(
        self,
        identity: EnclaveIdentity,
        now_ms: int,
        send: Send,
        journal: EventJournal,
        wrapped: Iterable[bytes] = (),
    ) -> None:
        """Take the state's key from what this machine sealed before, if any of `wrapped` is it."""
        self._identity = identity
        self._now_ms = now_ms
        self._send = send
        self._journal = journal
        self._domain = identity.deployment.tee.domain
        self._nonce_and_bound: tuple[str, bytes] | None = None
        self._key = self._unwrapped(wrapped)

    @property
    def has_state_key(self) -> bool:
        """Whether it could open the state."""
        return self._key is not None

    def advance(self, now_ms: int) -> None:
        """Move time on."""
        self._now_ms = max(self._now_ms, now_ms)

    def renew_evidence(self) -> None:
        """Nothing to publish: the next evidence has the newer collateral."""

    def answer(self, request: bytes | memoryview) -> bytes:
        """Answer the host, which speaks for this instance to the one that leads."""
        return answer_control_request(request, self._answer)

    def lead(self, state: bytes) -> KeyBroker:
        """Serve from now on: continue `state`, or begin a new log when there is none.

        Raises: FatalError when the state does not open, or is older than this instance knows.
        """
        if not state:
            key = new_state_key()
            leading = KeyBroker.start_new(
                self._identity, self._now_ms, key, self._send, self._journal
            )
        elif self._key is None:
            raise FatalError(Fatal.STATE)
        else:
            try:
                leading = KeyBroker.resume(
                    self._identity, self._now_ms, state, self._key, self._send, self._journal
                )
            except OpenError as error:
                raise FatalError(Fatal.STATE) from error
        self._send_key(leading.state_key)
        return leading

    def _answer(self, value: dict[str, object]) -> dict[str, object]:
        match value.get("op"):
            case "show":
                nonce = Fields(value, "show", ("op", "nonce")).digest("nonce")
                evidence = self._identity.evidence(nonce)
                self._nonce_and_bound = nonce, evidence.bound
                return {"evidence": evidence.to_json()}
            case "adopt":
                self._key = self._adopted(
                    Fields(value, "adopt", ("op", "grant", "signature", "evidence"))
                )
                self._send_key(self._key)
                return {}
            case _:
                raise ControlError("unknown_op", "this instance does not lead: op is show or adopt")

    def _adopted(self, fields: Fields) -> StateKey:
        """Appraise the instance that leads and open what it gave."""
        if self._nonce_and_bound is None:
            raise ControlError("unknown_challenge", "ask for evidence first")
        (nonce, bound), self._nonce_and_bound = self._nonce_and_bound, None
        policy = self._identity.deployment.policy(Role.KEY_BROKER)
        try:
            evidence = fields.read("evidence", Evidence.from_json)
            giver = appraise(evidence, policy, self._now_ms).claims.bound
            text = open_sealed(
                fields.base64("grant", MAX_SEALED_BYTES),
                fields.base64("signature", SIGNATURE_BYTES),
                opening=self._identity.opening,
                bound=bound,
                nonce=nonce,
                signer=giver.signing_key,
                purpose="state key grant",
            )
        except (EvidenceError, PolicyError, OpenError) as error:
            raise ControlError(
                "not_opened", "no key broker of this deployment gave this"
            ) from error
        return StateKey.from_bytes(text)

    def _unwrapped(self, wrapped: Iterable[bytes]) -> StateKey | None:
        for each in wrapped:
            try:
                return StateKey.unwrap(each, self._identity.platform_key, self._domain)
            except OpenError:
                # Another machine's, or older code's.
                continue
        return None

    def _send_key(self, key: StateKey) -> None:
        self._send(FrameKind.KEY, key.wrap(self._identity.platform_key, self._domain))
