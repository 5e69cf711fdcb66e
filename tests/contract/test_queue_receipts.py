"""Receipts through the queue: who asked for one gets it, checked, or gets no answer."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sealflow.documents.receipt import receipt_parts
from sealflow.errors import EvidenceError, RefusalCode
from sealflow.openinfer.binary import encode_response
from sealflow.openinfer.messages import InferResponse
from sealflow.openinfer.ndarray import from_numpy
from sealflow.owner import InputQueue, OutputQueue, QueueClient, TrustDomain
from sealflow.seal.content import ContentKind, content_parts
from sealflow.seal.exchange import SessionSecrets, open_request
from sealflow.streams.keys import Keyspace
from sealflow.trusted.worker.serving.runner import add_receipt
from sealflow.wire.envelope import Envelope, encode_refusal
from tests.support.cluster.published_service import LOG, PublishedService
from tests.support.trusted.worker import INSTANCE, negation_model, worker_identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sealflow.host.broker.redis_streams import RedisStreams
    from sealflow.owner import InferResult, SignedReceipt
    from tests.support.queue.server import QueueServer

KEYS = Keyspace(deployment="test")
MODEL = negation_model("m")
SIGNER = worker_identity().signing.public_key().public_bytes_raw()


class Service:
    """A published deployment and a worker that may be told to leave receipts out or to lie."""

    def __init__(self, streams: RedisStreams) -> None:
        """Publish."""
        self._streams = streams
        now_ms = time.time_ns() // 1_000_000
        self.published = PublishedService.create(now_ms)
        plain = self.published.with_model()
        model = replace(plain.models[0], digest=MODEL.digest)
        directory = replace(plain, models=(model,))
        streams.ensure_group(KEYS.requests)
        streams.set(KEYS.directory, self.published.document(directory))
        grant = self.published.key_store.grant("ab" * 16, None, lambda _: True, LOG.log_id, 1)
        self._openings = {key.private_key.public_key.key_id: key.private_key for key in grant.keys}
        self._now_ms = now_ms

    def answer(self, *, leave_out: bool = False, instead: SignedReceipt | None = None) -> None:
        """Take one request and answer it."""
        [delivery] = self._streams.claim(KEYS.requests, "engine", 1, 5000)
        envelope = Envelope.from_bytes(delivery.envelope, max_body_bytes=2**20)
        opening = self._openings[envelope.request_header.key_id]
        call = open_request(envelope, opening, SessionSecrets(1))
        call.read()
        response = InferResponse(
            model_name="m", model_version="1", outputs=(from_numpy("y", self.published.tensor()),)
        )
        plain = content_parts(ContentKind.INFER, *encode_response(response))
        parts: Sequence[bytes | memoryview] = plain
        if not leave_out:
            parts = add_receipt(
                call, MODEL.digest, plain, identity=worker_identity(), at_ms=self._now_ms
            )
        if instead is not None:
            parts = receipt_parts(plain, instead, SIGNER)
        reply = call.seal_reply(parts, model_digest=MODEL.digest, instance=INSTANCE)
        self._streams.answer(KEYS.requests, [(delivery, reply)])

    def refuse(self, code: RefusalCode) -> None:
        """Take one request and refuse it."""
        [delivery] = self._streams.claim(KEYS.requests, "engine", 1, 5000)
        header = Envelope.from_bytes(delivery.envelope, max_body_bytes=2**20).request_header
        refusal = encode_refusal(code, header.request_id)
        self._streams.answer(KEYS.requests, [(delivery, refusal)])

    def waiting(self) -> int:
        """How many requests wait."""
        return self._streams.depth(KEYS.requests).waiting


@pytest.fixture
def service(streams: RedisStreams) -> Service:
    """One on a real broker."""
    return Service(streams)


@pytest.fixture
def queue(server: QueueServer, service: Service) -> Iterator[QueueClient]:
    """A client of it."""
    with QueueClient(server.url, policy=service.published.policy) as client:
        yield client


def result(queue: QueueClient, name: str) -> InferResult:
    """The outcome of one id."""
    found = OutputQueue(queue).query(name, timeout_s=20)
    assert found is not None
    return found


def test_with_and_without(service: Service, queue: QueueClient) -> None:
    """Who asks gets a receipt about this request and reply; who does not gets the answer alone."""
    requests = InputQueue(queue, "m")
    requests.enqueue("asks", x=service.published.tensor(), receipt=True)
    service.answer()
    requests.enqueue("does not", x=service.published.tensor())
    service.answer()
    asked, plain = result(queue, "asks"), result(queue, "does not")
    assert plain.receipt is None
    assert asked.receipt is not None
    receipt = asked.receipt.unverified_receipt(TrustDomain.SIMULATED)
    assert (receipt.request_id, receipt.model_digest) == (asked.request_id, asked.model_digest)
    assert (asked.outputs["y"] == plain.outputs["y"]).all()


def test_left_out_or_of_another(service: Service, queue: QueueClient) -> None:
    """A worker that gives no receipt, or one of another request, has given no answer."""
    items = {name: {"x": service.published.tensor()} for name in ("first", "none", "other")}
    queue.enqueue_many("m", items, receipt=True)
    service.answer()
    first = result(queue, "first").receipt
    assert first is not None
    service.answer(leave_out=True)
    service.answer(instead=first.signed)
    for name, code in (("none", "receipt_missing"), ("other", "receipt_content")):
        with pytest.raises(EvidenceError) as caught:
            result(queue, name)
        assert caught.value.code == code


def test_sealed_anew(service: Service, queue: QueueClient) -> None:
    """A request that is refused for a passing reason is sent again, and still asks."""
    queue.enqueue_many("m", {"again": {"x": service.published.tensor()}}, receipt=True)
    service.refuse(RefusalCode.REPLAYED)
    assert OutputQueue(queue).query("again") is None
    while not (waiting := service.waiting()):
        OutputQueue(queue).query("again", timeout_s=0.2)
    assert waiting == 1
    service.answer()
    assert result(queue, "again").receipt is not None
