"""Worker: receipts for those who asked for one, signed with this worker's attested key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealflow.documents.receipt import Receipt, SignedReceipt, answering_parts, salted_digest
from sealflow.seal.content import content_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealflow.seal.content import Content
    from sealflow.seal.exchange import IncomingCall
    from sealflow.trusted.quoting import Identity
    from sealflow.trusted.worker.arrivals import Clock
    from sealflow.trusted.worker.loading import ServedModel


class Receipts:
    """Signs what this worker answers. For any thread."""

    def __init__(self, identity: Identity, clock: Clock) -> None:
        """Sign as `identity`."""
        self._identity = identity
        self._clock = clock

    def attach(
        self, call: IncomingCall, model: ServedModel, parts: Sequence[bytes | memoryview]
    ) -> Sequence[bytes | memoryview]:
        """Give the reply with its receipt when the request asked for one, else as it is."""
        salt = call.receipt_salt
        if salt is None:
            return parts
        header, deployment = call.header, self._identity.deployment
        receipt = Receipt(
            deployment=deployment.name,
            manifest_digest=deployment.digest,
            instance=self._identity.instance,
            key_id=header.key_id,
            request_id=header.request_id,
            model=header.model,
            model_digest=model.digest,
            request_digest=salted_digest(call.world, "request", salt, _written(call.content)),
            reply_digest=salted_digest(call.world, "reply", salt, parts),
            at_ms=self._clock.now_ms,
        )
        signed = SignedReceipt.sign(receipt, self._identity.signing, call.world)
        return answering_parts(parts, signed)


def _written(content: Content) -> list[bytes | memoryview]:
    return [*content_parts(content.kind, bytes(content.text)), content.binary]
