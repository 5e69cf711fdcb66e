"""The client of the queue and refusals: what is sealed anew, and how often."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import (
    DeadlineError,
    InvalidInputError,
    ModelError,
    RefusalCode,
    RefusedError,
    SealflowError,
    UnavailableError,
)
from tests.support.cluster.published_service import PublishedService
from tests.support.cluster.scripted_service import ScriptedService, negated, now_ms, refusing
from tests.support.queue.requests import ask, check, outcomes

if TYPE_CHECKING:
    from sealflow.host.broker.redis_streams import Delivery
    from sealflow.owner import QueueClient


@pytest.mark.parametrize("code", [RefusalCode.REPLAYED, RefusalCode.OVERLOADED])
def test_refusals_that_pass(
    client: QueueClient, service: ScriptedService, code: RefusalCode
) -> None:
    """A refused request is sealed anew, and its sender sees its answer alone."""
    service.script = [refusing(code), refusing(code), negated]
    ask(client, "a")
    check("a", client.query("a", timeout_s=20))
    assert len({each.correlation for each in service.seen}) == 3
    assert len({each.envelope for each in service.seen}) == 3


@pytest.mark.parametrize(
    ("code", "error", "tries"),
    [
        (RefusalCode.NOT_OPENED, RefusedError, 1),
        (RefusalCode.UNDELIVERABLE, RefusedError, 1),
        (RefusalCode.EXPIRED, DeadlineError, 1),
        (RefusalCode.REPLAYED, RefusedError, 5),
    ],
)
def test_refusals_that_stay(
    client: QueueClient,
    service: ScriptedService,
    code: RefusalCode,
    error: type[SealflowError],
    tries: int,
) -> None:
    """A refusal that stays is the outcome, after a bounded number of tries."""
    service.script = [refusing(code)]
    ask(client, "a")
    with pytest.raises(error):
        client.query("a", timeout_s=20)
    assert len(service.seen) == tries


def test_a_new_key(client: QueueClient, service: ScriptedService) -> None:
    """Once the workers' key is gone, the request is sealed anew to the one in force."""
    ask(client, "a")
    client.query("a", timeout_s=20)
    old = service.asked[0].key_id
    service.turn_key()
    service.script = [refusing(RefusalCode.UNKNOWN_KEY), negated]
    ask(client, "bb")
    check("bb", client.query("bb", timeout_s=20))
    assert service.asked[-1].key_id != old


def test_a_refusal_does_not_weaken(client: QueueClient, service: ScriptedService) -> None:
    """A stranger's directory is the outcome of the refused request, and costs no other one."""
    stranger = PublishedService.create(now_ms())

    def turn(service: ScriptedService, delivery: Delivery) -> bytes | None:
        service.publish_text(stranger.document(stranger.with_model()))
        return refusing(RefusalCode.UNKNOWN_KEY)(service, delivery)

    good = service.directory
    service.script = [turn, negated]
    ask(client, "a", "bb")
    found = outcomes(client)
    service.publish(good)
    assert isinstance(found["a"], SealflowError)
    assert not isinstance(found["a"], UnavailableError | ModelError | RefusedError)
    check("bb", found["bb"])
    assert len(service.seen) == 2


def test_what_cannot_be_sent_again(client: QueueClient, service: ScriptedService) -> None:
    """A request that was refused and cannot be sealed anew has an outcome: that error."""
    good = service.directory

    def withdraw(service: ScriptedService, delivery: Delivery) -> bytes | None:
        service.directory = replace(good, models=())
        service.renew()
        return refusing(RefusalCode.UNKNOWN_MODEL)(service, delivery)

    service.script = [withdraw]
    ask(client, "a")
    found = outcomes(client)
    service.directory = replace(service.directory, models=good.models)
    service.renew()
    assert isinstance(found["a"], InvalidInputError)
    assert "no model 'm' in the verified directory; it has none" in str(found["a"])
    assert len(client) == 0
