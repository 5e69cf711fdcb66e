"""Attacks on operations: rows 70, 75, 109 and 110 of docs/threat-model.md."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sealflow.errors import MalformedError, OpenError, RefusalCode, RefusedError, UnavailableError
from sealflow.owner import Revoked, RevokedKind
from sealflow.owner.client.inference import infer
from sealflow.owner.client.request import request_parts
from sealflow.owner.http.steps import HttpRequest, HttpResponse
from sealflow.seal.exchange import Session
from sealflow.seal.keys import SealingKey
from sealflow.trusted.worker.serving.keyring import ReplayFilter
from sealflow.wire.envelope import MEDIA_TYPE
from sealflow.wire.ids import ModelRef, new_request_id
from tests.support.enclaves.hosted_enclaves import NOW_MS, read_refusal, read_result

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealflow.owner import InferResult
    from tests.support.enclaves.hosted_enclaves import HostedEnclaves, HostedWorker

CAPACITY = 50
"""Ids that the workers of `site` remember for each key."""


SEALED = {"content-type": MEDIA_TYPE}
REWRITTEN = HttpResponse(
    status=502, headers={"content-type": "text/html"}, body=b"<h1>Bad Gateway</h1>"
)


def through_proxy(
    site: HostedEnclaves,
    worker: HostedWorker,
    rewrite: Callable[[bytes], HttpResponse],
    *,
    directory: HttpResponse | None = None,
    timeout_s: float = 30.0,
) -> InferResult:
    """Ask a real worker as clients do, through a proxy that answers in the gateway's place.

    `directory`: what it gives for the directory; the genuine one otherwise.
    """
    tensors = {"x": np.ones((1, 4), np.float32)}
    steps = infer(site.session, "m", image=None, tensors=tensors, top_k=None, timeout_s=timeout_s)
    answer: HttpResponse | None = None
    try:
        while True:
            wish = steps.send(answer)
            answer = None
            if isinstance(wish, HttpRequest) and wish.path.startswith("/v1/directory"):
                genuine = HttpResponse(status=200, headers={}, body=site.document)
                answer = directory or genuine
            elif isinstance(wish, HttpRequest) and wish.path.startswith("/v1/log/"):
                answer = REWRITTEN
            elif isinstance(wish, HttpRequest):
                assert isinstance(wish.body, bytes)
                [reply] = worker.serve([wish.body])
                answer = rewrite(reply)
    except StopIteration as end:
        result: InferResult = end.value
        return result


def given(answer: HttpResponse, _: bytes) -> HttpResponse:
    """Write this in the place of any reply."""
    return answer


def test_70_rewriting_proxy(site: HostedEnclaves) -> None:
    """What a proxy writes in place of a reply is never taken for one; its status does not count."""
    worker = site.worker()
    site.call()
    for status in (200, 204, 302, 401, 500):
        written = replace(REWRITTEN, status=status)
        with pytest.raises(UnavailableError):
            through_proxy(site, worker, partial(given, written), timeout_s=1.0)
    with pytest.raises((OpenError, MalformedError)):
        through_proxy(
            site,
            worker,
            lambda reply: HttpResponse(status=200, headers=SEALED, body=reply[:-1] + b"x"),
        )
    found = through_proxy(
        site, worker, lambda reply: HttpResponse(status=500, headers=SEALED, body=reply)
    )
    np.testing.assert_array_equal(found.outputs["y"], -np.ones((1, 4)))


def test_70_rewritten_refusal(site: HostedEnclaves) -> None:
    """A proxy that hides why a request was refused cannot keep a client at a key that is over."""
    worker = site.worker()
    kid = site.call().header.key_id
    site.revoke(Revoked(kind=RevokedKind.KEY, id=kid))
    worker.tick()
    worker.await_event("enrolled")
    hidden = []

    def hide(reply: bytes) -> HttpResponse:
        if (code := read_refusal(reply)) is not None:
            hidden.append(code)
            return REWRITTEN
        return HttpResponse(status=200, headers=SEALED, body=reply)

    found = through_proxy(site, worker, hide)
    assert hidden == [RefusalCode.UNKNOWN_KEY]
    np.testing.assert_array_equal(found.outputs["y"], -np.ones((1, 4)))
    page = replace(REWRITTEN, status=200)
    with pytest.raises(UnavailableError):
        through_proxy(site, worker, partial(given, page), directory=page, timeout_s=1.0)


def test_75_full_replay_memory(site: HostedEnclaves) -> None:
    """A worker process whose memory of ids is full refuses, forgets nothing, and recovers in time.

    Ids of later deadlines stay for as long.
    """
    worker = site.worker()
    near = [site.call(timeout_s=20) for _ in range(CAPACITY - 1)]
    far, more = site.call(timeout_s=10**9), site.call(timeout_s=10**9)
    assert worker.refusals(*(call.envelope for call in (*near, far))) == [None] * CAPACITY
    assert worker.refusals(more.envelope) == [RefusalCode.OVERLOADED]
    again = worker.refusals(*(call.envelope for call in (*near, far)))
    assert again == [RefusalCode.REPLAYED] * CAPACITY
    site.pass_time(21_000)
    worker.tick()
    assert worker.refusals(*(call.envelope for call in near)) == [RefusalCode.EXPIRED] * len(near)
    assert worker.refusals(more.envelope, far.envelope) == [None, RefusalCode.REPLAYED]


def sealed_until(site: HostedEnclaves, deadline_ms: int) -> bytes:
    """A genuine request with a deadline that no client of ours sets."""
    directory = site.session.verify_directory(site.document).verified.directory
    model, key = directory.models[0], directory.keys[0]
    tensors = {"x": np.ones((1, 4), np.float32)}
    return (
        Session.start(SealingKey(suite=key.suite, public=key.public))
        .seal_request(
            ModelRef(name=model.name, version=model.version),
            model.digest,
            request_parts(model, image=None, tensors=tensors, top_k=None),
            deadline_ms=deadline_ms,
        )
        .envelope
    )


def test_109_far_deadlines(site: HostedEnclaves) -> None:
    """Deadlines years ahead are refused and take no memory; what is remembered goes in minutes."""
    worker, deployment = site.worker(), site.made.deployment
    most_ms = NOW_MS + 1000 * (deployment.residence_s + deployment.clock_skew_s)
    for ahead_ms in (86_400_000, 10**12, 2**52):
        far = [sealed_until(site, most_ms + ahead_ms) for _ in range(CAPACITY)]
        assert worker.refusals(*far) == [RefusalCode.DEADLINE_FAR] * CAPACITY
    latest = [sealed_until(site, most_ms) for _ in range(CAPACITY)]
    assert worker.refusals(*latest) == [None] * CAPACITY
    assert worker.refusals(sealed_until(site, most_ms)) == [RefusalCode.OVERLOADED]
    site.pass_time(most_ms + 1001 - NOW_MS)
    worker.tick()
    worker.await_event("enrolled")
    assert worker.refusals(site.call().envelope, *latest) == [
        None,
        *[RefusalCode.EXPIRED] * CAPACITY,
    ]


def test_109_clients_stay_within(site: HostedEnclaves) -> None:
    """A client that would wait for years seals a deadline that workers take."""
    call = site.call(timeout_s=10**9)
    assert call.header.deadline_ms == NOW_MS + 1000 * site.made.deployment.residence_s
    assert site.worker().refusals(call.envelope) == [None]


def test_110_once_by_each_worker(site: HostedEnclaves) -> None:
    """Other workers, and workers started anew, open an envelope once each, until its deadline.

    The client takes the first reply and no other.
    """
    call = site.call(timeout_s=60)
    workers = [site.worker(), site.worker()]
    site.pass_time(30_000)
    workers.append(site.worker())
    for worker in workers:
        answers = worker.serve([call.envelope] * 3)
        assert [read_refusal(each) for each in answers] == [None, *[RefusalCode.REPLAYED] * 2]
        if worker is workers[0]:
            read_result(call, answers[0])
        with pytest.raises(OpenError):
            read_result(call, answers[0])
    site.pass_time(30_001)
    workers.append(site.worker())
    for worker in workers:
        worker.tick()
        assert worker.refusals(call.envelope) == [RefusalCode.EXPIRED]


@pytest.mark.parametrize("apart_ms", [0, 1, 1000, 10**9])
def test_75_bounded(apart_ms: int) -> None:
    """An id takes at most 130 bytes, however its sender chose the deadline."""
    count = 100_000
    end_ms = NOW_MS + 1000 * 4500
    ids = [new_request_id() for _ in range(count)]
    tracemalloc.start()
    try:
        seen = ReplayFilter(count, end_ms)
        for number, request_id in enumerate(ids):
            seen.check(request_id, NOW_MS)
            seen.remember(request_id, NOW_MS + number * apart_ms)
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(seen) == count
    assert held_bytes < 130 * count
    with pytest.raises(RefusedError, match="overloaded"):
        seen.check(new_request_id(), NOW_MS)
