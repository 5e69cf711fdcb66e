"""A service that the test plays: real directories, a real queue, a worker that obeys."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from sealflow.documents.directory import SignedDirectory
from sealflow.errors import UnavailableError
from sealflow.host.broker.redis_streams import RedisStreams
from sealflow.openinfer.binary import decode_request, encode_response
from sealflow.openinfer.messages import InferResponse, TopClass
from sealflow.openinfer.ndarray import from_numpy, to_numpy
from sealflow.owner import Tensor
from sealflow.seal.content import ContentKind, content_parts, error_parts
from sealflow.seal.exchange import IncomingCall, SessionSecrets, open_request
from sealflow.streams.keys import Keyspace
from sealflow.wire.envelope import Envelope, encode_refusal
from sealflow.wire.ids import RequestId
from tests.support.cluster.published_service import LOG, PublishedService

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sealflow.documents.directory import Directory
    from sealflow.errors import RefusalCode
    from sealflow.host.broker.redis_streams import Delivery
    from sealflow.seal.content import Content
    from sealflow.seal.keys import OpeningKey
    from sealflow.wire.envelope import RequestHeader
    from tests.support.queue.server import QueueServer

    Answer = Callable[["ScriptedService", Delivery], bytes | None]

KEYS = Keyspace(deployment="test")
INSTANCE = RequestId("ab" * 16)


class ScriptedService:
    """A key broker's directories and one worker. Requests are answered one by one, by `script`.

    Each request takes the next answer of the script, the last one again and again.
    """

    def __init__(self, queue: QueueServer, **times: int) -> None:
        """Publish a directory with one model, m, and begin to serve; `times` as in settings."""
        self.published = PublishedService.create(now_ms(), **times)
        self._streams = RedisStreams(queue.url)
        self._streams.ensure_group(KEYS.requests)
        self._secrets = SessionSecrets(64)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self.script: list[Answer] = [negated]
        self.seen: list[Delivery] = []
        self.directory = self.published.with_model()
        self.publish(self.directory)
        self._thread.start()

    def publish(self, directory: Directory) -> None:
        """Sign a directory and let it be found."""
        self.directory = directory
        self.publish_text(self.published.document(directory))

    def publish_text(self, text: bytes) -> None:
        """Let any bytes be found as the directory."""
        self.text = text
        self._streams.set(KEYS.directory, text)

    def renew(self) -> None:
        """Publish the next version."""
        old, before = self.directory, SignedDirectory.from_bytes(self.text).digest
        tree = old.log_tree and old.log_tree.append(old.log_digest)
        newer = replace(old, version=old.version + 1, log_number=old.log_number + 1, log_tree=tree)
        self.publish(replace(newer, previous=before))

    def turn_key(self) -> None:
        """Begin a new epoch: another key is in force, and the next directory has it."""
        self.published.key_store.epochs.rotate(now_ms())
        keys = self.published.key_store.directory(1, None, LOG).keys
        self.directory = replace(self.directory, keys=keys)
        self.renew()

    def keys(self) -> dict[str, OpeningKey]:
        """The keys that its workers hold, by id."""
        grant = self.published.key_store.grant("ab" * 16, None, lambda _: True, LOG.log_id, 1)
        return {key.private_key.public_key.key_id: key.private_key for key in grant.keys}

    def opened(self, delivery: Delivery) -> IncomingCall:
        """Open a request, as an enclave does."""
        envelope = Envelope.from_bytes(delivery.envelope, max_body_bytes=2**24)
        return open_request(envelope, self.keys()[envelope.request_header.key_id], self._secrets)

    def sealed(self, delivery: Delivery, parts: Sequence[bytes | memoryview]) -> bytes:
        """Seal a reply to a request."""
        digest = self.directory.models[0].digest
        return self.opened(delivery).seal_reply(parts, model_digest=digest, instance=INSTANCE)

    @property
    def asked(self) -> list[RequestHeader]:
        """The headers of what it has seen, as the host sees them."""
        return [
            Envelope.from_bytes(each.envelope, max_body_bytes=2**24).request_header
            for each in self.seen
        ]

    def put_in(self, delivery: Delivery, reply: bytes) -> None:
        """Put something into the inbox of whoever sent a request."""
        self._streams.answer(KEYS.requests, [(delivery, reply)])

    def close(self) -> None:
        """Serve no more."""
        self._ended.set()
        self._thread.join(30)
        self._streams.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                found = self._streams.claim(KEYS.requests, "played", 1, 100)
            except UnavailableError:
                self._ended.wait(0.05)
                continue
            for delivery in found:
                self.seen.append(delivery)
                answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                reply = answer(self, delivery)
                if reply is not None:
                    self.put_in(delivery, reply)


def now_ms() -> int:
    """The system's time."""
    return time.time_ns() // 1_000_000


def negated(service: ScriptedService, delivery: Delivery) -> bytes:
    """Answer y = -x."""
    return service.sealed(delivery, negated_parts(service.opened(delivery).read()))


def negated_parts(content: Content) -> list[bytes | memoryview]:
    """Return the content of the reply y = -x to the content of a request."""
    tensor = decode_request(content.text, content.binary).inputs[0]
    response = InferResponse(
        model_name="m", model_version="1", outputs=(from_numpy("y", -to_numpy(tensor)),)
    )
    return content_parts(ContentKind.INFER, *encode_response(response))


def negated_after(go: threading.Event) -> Answer:
    """Wait to be told, then answer y = -x."""

    def answer(service: ScriptedService, delivery: Delivery) -> bytes:
        assert go.wait(30)
        return negated(service, delivery)

    return answer


def labelled(*labels: str) -> Answer:
    """Answer with classes, best first."""

    def answer(service: ScriptedService, delivery: Delivery) -> bytes:
        classes = [
            TopClass(score=1 / (1 + number), index=number, label=label).to_bytes()
            for number, label in enumerate(labels)
        ]
        tensor = Tensor.from_elements("y", classes, (1, len(classes)))
        response = InferResponse(model_name="m", model_version="1", outputs=(tensor,))
        parts = content_parts(ContentKind.INFER, *encode_response(response))
        return service.sealed(delivery, parts)

    return answer


def silent(service: ScriptedService, delivery: Delivery) -> None:
    """Do not answer."""


def refusing(code: RefusalCode) -> Answer:
    """Refuse with a code."""

    def answer(service: ScriptedService, delivery: Delivery) -> bytes:
        header = Envelope.from_bytes(delivery.envelope, max_body_bytes=2**24).request_header
        return encode_refusal(code, header.request_id)

    return answer


def failing(code: str, message: str) -> Answer:
    """Answer with a sealed error."""

    def answer(service: ScriptedService, delivery: Delivery) -> bytes:
        return service.sealed(delivery, error_parts(code, message))

    return answer


def forged(service: ScriptedService, delivery: Delivery) -> bytes:
    """Answer with a reply one bit of which was changed on the way."""
    reply = bytearray(negated(service, delivery))
    reply[-1] ^= 1
    return bytes(reply)
