"""Requests that end workers: rows 83 and 84 of docs/threat-model.md."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sealflow.errors import InvalidInputError, RefusalCode
from sealflow.host.broker.stream_consumer import StreamConsumer
from sealflow.host.engine.config import EngineConfig
from sealflow.host.engine.delivery_tracker import DeliveryTracker
from sealflow.host.engine.quarantine import Quarantine
from sealflow.host.engine.routing import RequestRouter
from sealflow.openinfer.binary import encode_request
from sealflow.openinfer.messages import InferRequest
from sealflow.openinfer.ndarray import from_numpy
from sealflow.openinfer.tensor import DataType
from sealflow.owner import BrokerAddress
from sealflow.owner.client.request import request_parts
from sealflow.owner.queue.transport import StreamTransport
from sealflow.seal.content import ContentKind, content_parts
from sealflow.streams.keys import Keyspace
from tests.support.enclaves.hosted_enclaves import read_refusal, read_result
from tests.support.models import onnx_models
from tests.support.models.served_models import onnx_manifest, tensor_specs
from tests.support.trusted.jobs import seal_request
from tests.support.trusted.worker import SESSION, Worker, make_request, open_sized_model

if TYPE_CHECKING:
    from sealflow.host.broker.redis_streams import RedisStreams
    from sealflow.seal.exchange import OutgoingCall
    from tests.support.enclaves.hosted_enclaves import HostedEnclaves
    from tests.support.queue.server import QueueServer

KEYS = Keyspace(deployment="test")
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
HUGE = 100_000


def publish(site: HostedEnclaves, operator: str) -> None:
    """Publish a recurrent model of three open sizes."""
    manifest = onnx_manifest(
        operator.lower(),
        inputs=tensor_specs(x=(DataType.FP32, [-1, -1, -1])),
        outputs=tensor_specs(y=(DataType.FP32, [-1, 1, -1, 2])),
        max_batch=1,
    )
    site.publish_model(manifest, onnx_models.recurrent(operator, GATES[operator]))


def seal(site: HostedEnclaves, name: str, shape: tuple[int, ...]) -> OutgoingCall:
    """Seal zeros of any shape, as a client that checks nothing does."""
    site.session.accept(site.session.verify_directory(site.document))
    request = InferRequest(inputs=(from_numpy("x", np.zeros(shape, np.float32)),))
    parts = content_parts(ContentKind.INFER, *encode_request(request))
    return site.session.seal_request(site.session.model(name), parts, timeout_s=300)


@pytest.mark.parametrize("operator", GATES)
def test_83_sizes(site: HostedEnclaves, operator: str) -> None:
    """Sizes of none, one and very many are answered by the worker that had them, which lives on."""
    publish(site, operator)
    worker = site.worker()
    shapes = [*itertools.product((0, 1, 3), (0, 1, 3), (0, 1, 2)), (HUGE, 1, 2), (1, HUGE, 2)]
    shapes += [(HUGE, 0, 2), (0, HUGE, 2), (1, 1, HUGE), (0, 0, HUGE)]
    calls = [seal(site, operator.lower(), shape) for shape in shapes]
    for call, shape, reply in zip(
        calls, shapes, worker.serve(call.envelope for call in calls), strict=True
    ):
        if 0 in shape:
            with pytest.raises(InvalidInputError, match="does not fit"):
                read_result(call, reply)
        assert read_refusal(reply) is None
    last = seal(site, operator.lower(), (3, 1, 2))
    assert read_result(last, worker.serve([last.envelope])[0]).tensors["y"].shape == (3, 1, 1, 2)


@pytest.mark.parametrize("rows", [1, 8])
@pytest.mark.parametrize("shape", [(0, 2), (3, 0), (0, 0)])
def test_83_refused(rows: int, shape: tuple[int, int]) -> None:
    """A size of 0 reaches no runtime, with batches or without, whatever the model would do."""
    model = open_sized_model("Abs", max_batch=rows)
    call = seal_request(SESSION, model, make_request(np.zeros(shape, np.float32)))
    code, message = Worker().serve(model).send(call.envelope).finish().error(0, call)
    assert code == "invalid_input"
    assert "does not fit" in message or "1 to 4096 rows" in message


@pytest.mark.parametrize("shape", [(0, 1, 2), (3, 0, 2), (0, 0, 2), (3, 1, 0)])
def test_83_own_check(site: HostedEnclaves, shape: tuple[int, ...]) -> None:
    """A client refuses an empty tensor itself, with the same words."""
    publish(site, "GRU")
    site.session.accept(site.session.verify_directory(site.document))
    model = site.session.model("gru")
    with pytest.raises(InvalidInputError, match="does not fit"):
        request_parts(model, image=None, tensors={"x": np.zeros(shape, np.float32)}, top_k=None)


def test_84_two_workers(server: QueueServer, streams: RedisStreams) -> None:
    """What ended a worker among others, and one alone, is given to no third; the others are."""
    streams.ensure_group(KEYS.requests)
    owner = StreamTransport(BrokerAddress(url=server.url), KEYS.deployment)
    owner.submit([("bad", b"bad"), ("good", b"good")], capacity=9)
    config = EngineConfig(
        deployment="test", packages_dir="p", deployment_file="d", broker_url=server.url
    )
    router = RequestRouter(Quarantine(streams, KEYS.quarantine))
    claiming = StreamConsumer(broker=streams, stream=KEYS.requests, name="one")
    tracker = DeliveryTracker(claiming, config, router)
    ended = 0
    while items := tracker.next_batch(1):
        if any(envelope == b"bad" for _, envelope in items):
            tracker.worker_ended()
            ended += 1
        else:
            tracker.accept_replies([(slot, b"answer") for slot, _ in items])
    assert ended == 2
    replies = dict(owner.receive(0))
    assert replies[b"good"] == b"answer"
    assert read_refusal(replies[b"bad"]) is RefusalCode.UNDELIVERABLE
    owner.close()
