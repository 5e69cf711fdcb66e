"""A service of a later release: real queue and real gateway, documents and replies of tomorrow."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

from sealflow.documents.receipt import Receipt, salted_digest
from sealflow.seal import exchange
from sealflow.seal.chunked import seal_chunked
from sealflow.seal.content import ContentKind, content_parts
from sealflow.streams.keys import FIELD_ENVELOPE, Keyspace
from sealflow.wire.envelope import Kind, ReplyHeader, encode_start
from sealflow.wire.strict_json import canonical_json
from tests.compat.tomorrow import SIMULATED, Writer
from tests.support.cluster.scripted_service import (
    INSTANCE,
    ScriptedService,
    negated_parts,
    now_ms,
)
from tests.support.queue.streams import raw_client

if TYPE_CHECKING:
    from sealflow.host.broker.redis_streams import Delivery
    from sealflow.seal.content import Parts
    from sealflow.seal.exchange import IncomingCall
    from tests.compat.tomorrow import Change
    from tests.support.queue.server import QueueServer

KEYS: Final = Keyspace(deployment="test")


class TomorrowService:
    """A scripted service whose documents a later release wrote."""

    def __init__(self, queue: QueueServer) -> None:
        """Begin to serve."""
        self._raw = raw_client(queue)
        self.scripted = ScriptedService(queue)
        self.url = queue.url
        self.writer = Writer(published=self.scripted.published)
        self.publish()

    @property
    def policy(self) -> Any:
        """The clients' policy."""
        return self.writer.published.policy

    def publish(self, **changes: Change) -> None:
        """Publish log and directory; `changes` by level, whose spaces are underscores here."""
        self.writer.changes = {level.replace("_", " "): each for level, each in changes.items()}
        self.scripted.script = [self.reply]
        self.scripted.seen.clear()
        self.scripted.publish_text(self.writer.publish())
        self._raw.delete(KEYS.log)
        for number, record in enumerate(self.writer.records):
            self._raw.xadd(KEYS.log, {FIELD_ENVELOPE: record}, id=f"{number}-1")

    def reply(self, service: ScriptedService, delivery: Delivery) -> bytes:
        """Answer y = -x, with a receipt if one is asked for."""
        call = service.opened(delivery)
        content, salt = call.read(), call.receipt_salt
        parts = negated_parts(content)
        if salt is None:
            return self.sealed(call, parts)
        asked = [
            *content_parts(content.kind, bytes(content.text)),
            content.binary,
        ]
        deployment = self.writer.published.site.deployment
        receipt = Receipt(
            deployment=deployment.name,
            manifest_digest=deployment.digest,
            instance=INSTANCE,
            key_id=call.header.key_id,
            request_id=call.header.request_id,
            model=call.header.model,
            model_digest=call.header.model_digest,
            request_digest=salted_digest(SIMULATED, "request", salt, asked),
            reply_digest=salted_digest(SIMULATED, "reply", salt, parts),
            at_ms=now_ms(),
        )
        given = canonical_json(self.writer.receipt(receipt.to_bytes()))
        return self.sealed(call, [*content_parts(ContentKind.RECEIPT, given), *parts])

    def failed(self, service: ScriptedService, delivery: Delivery) -> bytes:
        """Answer with an error that only tomorrow's release knows."""
        value = {"code": "eclipse", "message": "the moon is before the sun"}
        text = canonical_json(self.writer.written("error", value))
        return self.sealed(service.opened(delivery), content_parts(ContentKind.ERROR, text))

    def refused(self, service: ScriptedService, delivery: Delivery) -> bytes:
        """Refuse with a code that only tomorrow's release knows."""
        value = {"code": "eclipse", "rid": service.opened(delivery).header.request_id}
        header = canonical_json(self.writer.written("refusal header", value))
        return encode_start(Kind.REFUSAL, 0, header, b"", 0)

    def sealed(self, call: IncomingCall, parts: Parts) -> bytes:
        """Seal a reply under a header with the new field; `IncomingCall.seal_reply` has none."""
        header = ReplyHeader(
            request_id=call.header.request_id,
            request_digest=call.request_digest.hex(),
            key_id=call.header.key_id,
            model_digest=call.header.model_digest,
            instance=INSTANCE,
            nonce=os.urandom(32).hex(),
            simulated=True,
        )
        written = self.writer.written("reply header", json.loads(header.to_bytes()))
        padded, length = exchange._padded(parts)
        start = encode_start(Kind.REPLY, call.suite, canonical_json(written), b"", length)
        transcript = exchange._transcript(SIMULATED, "reply", start, b"")
        assert call._secret is not None
        key = exchange._reply_key(call._secret, SIMULATED, header, transcript, call.request_digest)
        return start + seal_chunked(key, transcript, padded)

    def close(self) -> None:
        """Serve no more."""
        self.scripted.close()
        self._raw.close()
