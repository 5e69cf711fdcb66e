"""Both clients of a gateway and answers that do not open, or do not come."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.errors import DeadlineError, OpenError, UnavailableError
from tests.support.cluster.scripted_service import ScriptedService, forged, negated, silent

if TYPE_CHECKING:
    from tests.support.cluster.gateway_clients import GatewayClient


def test_answers_that_do_not_open(asker: GatewayClient, service: ScriptedService) -> None:
    """A reply that was changed on the way is no reply; why it does not open is not said."""
    service.script = [forged]
    with pytest.raises(OpenError) as caught:
        asker.infer()
    assert str(caught.value) == "the sealed message does not open"
    assert caught.value.__cause__ is None


def test_answer_of_another_request(asker: GatewayClient, service: ScriptedService) -> None:
    """A genuine reply to an earlier request does not pass for this one's."""
    kept: list[bytes] = []

    def keep(service: ScriptedService, delivery: Any) -> bytes:
        kept.append(negated(service, delivery))
        return kept[0]

    service.script = [keep]
    asker.infer()
    with pytest.raises(OpenError):
        asker.infer()


def test_silence(asker: GatewayClient, service: ScriptedService) -> None:
    """A service that does not answer costs the time that was given, and no more."""
    asker.verify()
    service.script = [silent]
    started = time.monotonic()
    with pytest.raises(DeadlineError, match="raise timeout_s, or add workers"):
        asker.infer(timeout_s=0.5)
    assert time.monotonic() - started < 15
    assert len(service.seen) == 1


def test_nobody_there(asker: GatewayClient, service: ScriptedService) -> None:
    """A gateway that is not there is named, and where to look."""
    absent = type(asker)("http://127.0.0.1:1", service.published.policy)  # type: ignore[call-arg]
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1: .*sealflow status"):
        absent.infer(timeout_s=1)
    absent.close()
