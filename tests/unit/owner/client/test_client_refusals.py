"""Both clients of a gateway and refusals: tries that end, and never weaken anything."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sealflow.errors import (
    DeadlineError,
    EvidenceError,
    MalformedError,
    PolicyError,
    RefusalCode,
    RefusedError,
)
from sealflow.wire.envelope import Envelope
from tests.support.cluster.gateway_clients import ROW, GatewayClient, ThreadedClient
from tests.support.cluster.published_service import PublishedService
from tests.support.cluster.scripted_service import ScriptedService, negated, now_ms, refusing

if TYPE_CHECKING:
    from sealflow.host.broker.redis_streams import Delivery
    from tests.support.cluster.gateway import GatewayProcess


def await_served(gateway: GatewayProcess, text: bytes) -> None:
    """Wait until a gateway, which keeps the directory for a second, has a newer one."""
    until = time.monotonic() + 20
    while gateway.http.get("/v1/directory").content != text:
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize(
    "code",
    [
        RefusalCode.MALFORMED,
        RefusalCode.TOO_LARGE,
        RefusalCode.NOT_OPENED,
        RefusalCode.UNDELIVERABLE,
    ],
)
def test_refusals_that_stay(
    asker: GatewayClient, service: ScriptedService, code: RefusalCode
) -> None:
    """A refusal that another try would meet again is raised at once, by its code and meaning."""
    service.script = [refusing(code)]
    with pytest.raises(RefusedError, match=code.meaning) as caught:
        asker.infer()
    assert caught.value.code is code
    assert len(service.seen) == 1


@pytest.mark.parametrize("code", [RefusalCode.REPLAYED, RefusalCode.OVERLOADED])
def test_refusals_that_pass(
    asker: GatewayClient, service: ScriptedService, code: RefusalCode
) -> None:
    """A passing refusal costs another try, sealed anew: nothing is ever sent twice."""
    service.script = [refusing(code), refusing(code), negated]
    np.testing.assert_array_equal(asker.infer().outputs["y"], -ROW)
    assert len({each.request_id for each in service.asked}) == 3
    assert len({each.envelope for each in service.seen}) == 3


def test_refusals_without_end(asker: GatewayClient, service: ScriptedService) -> None:
    """A host that always refuses is not asked forever."""
    service.script = [refusing(RefusalCode.REPLAYED)]
    with pytest.raises(RefusedError):
        asker.infer()
    assert len(service.seen) == 5


def test_full_for_too_long(asker: GatewayClient, service: ScriptedService) -> None:
    """Whoever finds the service full until the time is over is told so."""
    service.script = [refusing(RefusalCode.OVERLOADED)]
    with pytest.raises(DeadlineError, match=r"no reply within 1 s; .*add workers"):
        asker.infer(timeout_s=1)


def test_a_new_key(asker: GatewayClient, service: ScriptedService) -> None:
    """Once the workers' key is gone, the client looks for the new one until it finds it."""
    asker.infer()
    old = service.asked[0].key_id

    def strict(service: ScriptedService, delivery: Delivery) -> bytes | None:
        if (
            Envelope.from_bytes(delivery.envelope, max_body_bytes=2**24).request_header.key_id
            == old
        ):
            return refusing(RefusalCode.UNKNOWN_KEY)(service, delivery)
        return negated(service, delivery)

    service.script = [strict]
    service.turn_key()
    np.testing.assert_array_equal(asker.infer().outputs["y"], -ROW)
    suites = {
        Envelope.from_bytes(each.envelope, max_body_bytes=2**24).suite for each in service.seen
    }
    assert len(suites) == 1


def bad_directories(service: ScriptedService) -> dict[str, bytes]:
    """What nobody who trusts the service's directory may take for a newer one."""
    good, text = service.directory, service.text
    at = text.index(b'"payload"') + 40
    past_ms = now_ms() - 10**9
    stranger = PublishedService.create(now_ms())
    sign = service.published.document
    return {
        "text": b"{}",
        "flipped": text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :],
        "older": sign(replace(good, version=good.version - 1)),
        "of a stranger": stranger.document(stranger.with_model()),
        "expired": sign(replace(good, version=99, issued_ms=past_ms, expires_ms=past_ms + 1000)),
    }


def test_retries_do_not_weaken(service: ScriptedService, gateway: GatewayProcess) -> None:
    """A refusal cannot talk a client into a directory that it would not have taken before."""
    service.renew()
    await_served(gateway, service.text)
    good = service.directory
    asker = ThreadedClient(gateway.url, service.published.policy)
    asker.infer()
    service.script = [refusing(RefusalCode.UNKNOWN_KEY)]
    for kind, text in bad_directories(service).items():
        service.publish_text(text)
        await_served(gateway, text)
        service.seen.clear()
        with pytest.raises((EvidenceError, PolicyError, MalformedError)):
            asker.infer()
        assert len(service.seen) == 1, kind
    asker.close()
    service.publish(good)
    await_served(gateway, service.text)
