"""Attacks with time, by a host that owns every clock: rows 67, 69 and 71 of docs/threat-model.md.

Key broker and workers are processes; all that they know of the time is what this host tells them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sealflow.documents.directory import SignedDirectory
from sealflow.errors import EvidenceError, RefusalCode, RefusedError
from sealflow.host.broker.stream_consumer import StreamConsumer
from sealflow.host.engine.config import EngineConfig
from sealflow.host.engine.delivery_tracker import DeliveryTracker
from sealflow.host.engine.quarantine import Quarantine
from sealflow.host.engine.routing import RequestRouter
from sealflow.owner import BrokerAddress, Revoked, RevokedKind
from sealflow.owner.queue.transport import StreamTransport
from sealflow.owner.trust.session import ServiceSession
from sealflow.streams.keys import Keyspace
from sealflow.wire.envelope import Envelope, ReplyHeader
from tests.support.enclaves.hosted_enclaves import (
    LIMIT,
    NOW_MS,
    HostedEnclaves,
    read_refusal,
    read_result,
)

if TYPE_CHECKING:
    from sealflow.host.broker.redis_streams import RedisStreams
    from tests.support.enclaves.hosted_enclaves import HostedWorker
    from tests.support.queue.server import QueueServer

KEYS = Keyspace(deployment="test")
EPOCH_MS, GRACE_MS = 3_600_000, 900_000


def later(site: HostedEnclaves, worker: HostedWorker, by_ms: int) -> None:
    """Let time pass for everybody, in steps as hosts do, so that leases are renewed."""
    for _ in range(-(-by_ms // 600_000)):
        version = site.session.verify_directory(site.document).verified.directory.version
        site.pass_time(600_000)
        worker.tick()
        if site.session.verify_directory(site.document).verified.directory.version != version:
            worker.await_event("enrolled")


def issued_ms(site: HostedEnclaves) -> int:
    """When the published directory says that it was issued."""
    payload = SignedDirectory.from_bytes(site.document).payload
    issued: int = json.loads(payload)["issued_ms"]
    return issued


def served(step: DeliveryTracker, worker: HostedWorker) -> None:
    """Let an engine's step and its worker do what waits in the queue."""
    items = step.next_batch(100)
    replies = worker.serve(envelope for _, envelope in items)
    step.accept_replies(zip((slot for slot, _ in items), replies, strict=True))


def test_67_old_checkpoint(
    site: HostedEnclaves, server: QueueServer, streams: RedisStreams, raw: Any
) -> None:
    """What a queue or job restored from long ago brings back meets a destroyed key, everywhere.

    It is refused as `unknown_key` by the worker that answered it, by one that never saw it, and by
    those of a key broker that was started anew; the client opens nothing of it.
    """
    worker = site.worker()
    config = EngineConfig(
        deployment="test", packages_dir="none", deployment_file="none", broker_url=server.url
    )
    router = RequestRouter(Quarantine(streams, KEYS.quarantine))
    claiming = StreamConsumer(broker=streams, stream=KEYS.requests, name="engine")
    step = DeliveryTracker(claiming, config, router)
    streams.ensure_group(KEYS.requests)
    client = StreamTransport(BrokerAddress(url=server.url), KEYS.deployment)
    answered, forgotten = site.call(), site.call()
    for call in (answered, forgotten):
        client.submit([(call.request_id, call.envelope)], capacity=9)
    entries = [fields for _, fields in raw.xrange(KEYS.requests)]
    raw.xdel(KEYS.requests, raw.xrange(KEYS.requests)[1][0])
    served(step, worker)
    [(_, reply)] = client.receive(0)
    np.testing.assert_array_equal(read_result(answered, reply).outputs["y"], -np.ones((1, 4)))
    later(site, worker, EPOCH_MS + GRACE_MS)
    site.restart_key_broker(site.states[-1], site.now_ms)
    for each in (worker, site.worker()):
        for fields in entries:
            raw.xadd(KEYS.requests, fields)
        served(step, each)
        replies = [reply for _, reply in client.receive(0)]
        assert [read_refusal(reply) for reply in replies] == [RefusalCode.UNKNOWN_KEY] * 2
        for call, reply in zip((answered, forgotten), replies, strict=True):
            with pytest.raises(RefusedError):
                read_result(call, reply)
    client.close()


def test_69_rotation() -> None:
    """Epochs turn under load, seen second by second, and no request is lost or even refused.

    One request is served at once, one after the longest time that it may lie in the queue.
    """
    residence_s = 15
    with HostedEnclaves(
        epoch_s=60, grace_s=20, residence_s=residence_s, clock_skew_s=5, lease_s=60, directory_s=20
    ) as site:
        worker = site.worker()
        queued, kids, answers = [], set(), 0
        for _ in range(250):
            queued.append(site.call())
            now = site.call()
            kids.add(now.header.key_id)
            due = [now, *([queued.pop(0)] if len(queued) > residence_s else [])]
            for call, reply in zip(due, worker.serve(each.envelope for each in due), strict=True):
                np.testing.assert_array_equal(
                    read_result(call, reply).outputs["y"], -np.ones((1, 4))
                )
                answers += 1
            site.pass_time(1000)
            worker.tick()
    assert answers == 250 + 235
    assert len(kids) == 5


def test_71_back(site: HostedEnclaves) -> None:
    """A clock that goes back brings back no id, no deadline, no key and no older directory."""
    worker = site.worker()
    seen, late = site.call(), site.call(timeout_s=30)
    assert worker.refusals(seen.envelope) == [None]
    site.pass_time(31_000)
    worker.tick()
    assert worker.refusals(late.envelope) == [RefusalCode.EXPIRED]
    worker.tick(0)
    assert worker.refusals(seen.envelope, late.envelope, at_ms=0) == [RefusalCode.EXPIRED] * 2
    later(site, worker, EPOCH_MS + GRACE_MS)
    worker.tick(NOW_MS)
    assert worker.refusals(late.envelope, at_ms=NOW_MS) == [RefusalCode.UNKNOWN_KEY]
    before = issued_ms(site)
    site.tick_key_broker(NOW_MS)
    site.restart_key_broker(site.states[-1], NOW_MS)
    assert issued_ms(site) >= before > NOW_MS + EPOCH_MS


def test_71_frozen(site: HostedEnclaves) -> None:
    """A clock that stands still brings nothing back, and nothing new is sealed to who is told it.

    Ids stay seen, the client's own clock ends the directory, and a revoked worker has no key of
    those that follow.
    """
    worker = site.worker()
    call = site.call()
    assert worker.refusals(call.envelope) == [None]
    client = ServiceSession(site.policy, clock_ms=lambda: NOW_MS + 1_000_000)
    with pytest.raises(EvidenceError) as caught:
        client.verify_directory(site.document)
    assert caught.value.code == "directory_expired"
    [reply] = worker.serve([site.call().envelope])
    worker.carries = False
    header = Envelope.from_bytes(reply, max_body_bytes=LIMIT).header
    assert isinstance(header, ReplyHeader)
    site.revoke(Revoked(kind=RevokedKind.WORKER, id=header.instance))
    assert worker.refusals(call.envelope, at_ms=NOW_MS) == [RefusalCode.REPLAYED]
    assert worker.refusals(site.call().envelope, at_ms=NOW_MS) == [RefusalCode.UNKNOWN_KEY]


def test_71_leap(site: HostedEnclaves) -> None:
    """A clock that leaps ends keys early and is not believed: service is denied, no more."""
    worker = site.worker()
    call = site.call()
    worker.carries = False
    worker.tick(NOW_MS + 10**12)
    assert worker.refusals(call.envelope) == [RefusalCode.UNAVAILABLE]
    worker.tick(NOW_MS)
    assert worker.refusals(call.envelope) == [RefusalCode.UNAVAILABLE]
    site.tick_key_broker(NOW_MS + 86_400_000)
    with pytest.raises(EvidenceError) as caught:
        site.session.verify_directory(site.document)
    assert caught.value.code == "directory_early"
    site.tick_key_broker(NOW_MS)
    with pytest.raises(EvidenceError):
        site.session.verify_directory(site.document)
