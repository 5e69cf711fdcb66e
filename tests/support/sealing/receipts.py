"""A key broker, a worker and a client between whom receipts come about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sealflow.attest.evidence import Role
from sealflow.owner.audit.receipt_proof import ReceiptRequest
from sealflow.seal.content import ContentKind, content_parts
from sealflow.seal.exchange import Session, SessionSecrets, open_request
from sealflow.seal.keys import SealingKey
from sealflow.trusted.worker.serving.runner import add_receipt
from sealflow.wire.envelope import Envelope
from sealflow.wire.ids import ModelRef
from tests.support.trusted.keybroker import NOW_MS, KeyBrokerInstance, make_identity
from tests.support.trusted.told_clock import told_clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealflow.owner import ReceiptProof
    from sealflow.seal.content import Content, Parts
    from sealflow.trusted.identity.identity import EnclaveIdentity


LIMIT = 2**20
REPLY = content_parts(ContentKind.INFER, b'{"outputs":[]}', [b"\x01\x02"])
PARTS = content_parts(ContentKind.INFER, b'{"inputs":[]}', [b"\x03" * 100])


class ReceiptService:
    """A key broker, a worker that it granted a model to, and a client."""

    def __init__(self) -> None:
        """Publish a model, and grant it to a worker."""
        self.broker = KeyBrokerInstance().lead()
        self.digest: str = self.broker.publish("m")["digest"]
        self.worker: EnclaveIdentity = make_identity(Role.WORKER)
        self.grant = self.broker.grant(self.worker)
        self.clock = told_clock(NOW_MS)

    def exchange(
        self,
        *,
        asked: bool = True,
        attach: bool = True,
        change: Any = None,
        parts: Parts = PARTS,
        answer: Callable[[Content], Parts] = lambda _: REPLY,
    ) -> tuple[ReceiptProof | None, bytes]:
        """One request and its reply, as client and worker do it; gives the proof and the reply."""
        key = self.grant.keys[0].private_key
        sealing = SealingKey(suite=key.suite, public=key.public_key.public)
        request = ReceiptRequest.from_parts(parts)
        call = Session.start(sealing).seal_request(
            ModelRef(name="m", version="1"),
            self.digest,
            request.parts if asked else parts,
            deadline_ms=NOW_MS + 1000,
        )
        incoming = open_request(
            Envelope.from_bytes(call.envelope, max_body_bytes=LIMIT), key, SessionSecrets(1)
        )
        replied = answer(incoming.read())
        if attach:
            replied = add_receipt(
                incoming,
                self.digest,
                replied,
                identity=self.worker,
                at_ms=self.clock.now_ms,
            )
        if change is not None:
            replied = change(replied)
        reply = incoming.seal_reply(
            replied, model_digest=self.digest, instance=self.worker.instance
        )
        header, content = call.open_reply(Envelope.from_bytes(reply, max_body_bytes=LIMIT))
        if not asked:
            return None, bytes(content.binary)
        inner, proof = request.verify_reply(call, header, content)
        return proof, bytes(inner.binary)
