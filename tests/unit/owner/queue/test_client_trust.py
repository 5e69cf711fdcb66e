"""The client of the queue trusts nobody but the service of its policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealflow.errors import EvidenceError, UnavailableError
from sealflow.owner import QueueClient
from tests.support.cluster.published_service import PublishedService
from tests.support.cluster.scripted_service import ScriptedService, forged, negated, now_ms
from tests.support.queue.requests import ask, check, outcomes

if TYPE_CHECKING:
    from sealflow.host.broker.redis_streams import Delivery
    from tests.support.queue.server import QueueServer


def test_forged_answers_are_dropped(client: QueueClient, service: ScriptedService) -> None:
    """Nonsense, a changed reply, and replies to others' requests do not hide the genuine one."""

    def hostile(service: ScriptedService, delivery: Delivery) -> bytes | None:
        for bad in (b"", b"nonsense", forged(service, delivery), delivery.envelope):
            service.put_in(delivery, bad)
        return negated(service, delivery)

    service.script = [hostile]
    ask(client, "a", "bb")
    found = outcomes(client)
    for name in ("a", "bb"):
        check(name, found[name])


def test_nothing_published(queue: QueueServer, service: ScriptedService) -> None:
    """Without a directory there is nothing to trust, so nothing is sent."""
    text = service.text
    queue.delete("{sealflow:test}:directory")
    with (
        QueueClient(queue.url, policy=service.published.policy) as client,
        pytest.raises(UnavailableError, match="check that the key broker runs"),
    ):
        ask(client, "a")
    service.publish_text(text)
    assert service.seen == []


def test_somebody_elses_policy(queue: QueueServer, service: ScriptedService) -> None:
    """A service that the policy does not accept gets nothing."""
    other = PublishedService.create(now_ms())
    with (
        QueueClient(queue.url, policy=other.policy) as client,
        pytest.raises(EvidenceError),
    ):
        ask(client, "a")
    assert service.seen == []
