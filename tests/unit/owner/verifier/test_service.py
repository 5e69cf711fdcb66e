"""A verifier's service: what it answers while the service that it appraises changes or is away."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from sealflow.owner.http.async_transport import AsyncHttpTransport
from sealflow.owner.passport.passport import verify_passport
from sealflow.owner.verifier.appraisal import Appraiser
from sealflow.owner.verifier.service import PATH, PassportService, ServiceAddress
from tests.support.cluster.published_service import NOW_MS, PublishedService
from tests.support.network.web_server import WebServer
from tests.support.passports.tokens import ED25519

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

LIFETIME_MS = 3_600_000


class Watched:
    """A verifier of a service whose document and clock the test sets."""

    def __init__(self, gateway: WebServer) -> None:
        """Know the service; nothing is fetched."""
        self.now_ms = NOW_MS
        self.service = PublishedService.create()
        self.gateway = gateway
        self.publish(self.service.document(), "1")
        self.verifier = PassportService(
            Appraiser(self.service.policy, ED25519),
            AsyncHttpTransport(gateway.url, ca=None, connections=1),
            clock_ms=lambda: self.now_ms,
        )

    def publish(self, document: bytes, tag: str, status: int = 200) -> None:
        """Set what the gateway answers."""
        self.gateway.answers["/v1/directory"] = (status, {"etag": f'"{tag}"'}, document)

    async def asked(self) -> tuple[int, str]:
        """Renew, then ask for the passport; gives status and body."""
        await self.verifier.renew()
        response = await self.verifier.answer(None)  # type: ignore[arg-type]  # not looked at
        assert isinstance(response.body, bytes)
        assert response.headers["access-control-allow-origin"] == "*"
        return response.status, response.body.decode()


@pytest.fixture
def gateway() -> Iterator[WebServer]:
    """A gateway that answers what a test sets."""
    with WebServer({}) as running:
        yield running


@pytest.fixture
async def watched(gateway: WebServer) -> AsyncIterator[Watched]:
    """A verifier that nobody started."""
    made = Watched(gateway)
    yield made
    await made.verifier._transport.close()


async def test_renewal(watched: Watched) -> None:
    """The same passport until half of its life is over, or the evidence changes."""
    status, first = await watched.asked()
    assert status == 200
    watched.now_ms += LIFETIME_MS // 2 - 1
    assert await watched.asked() == (200, first)
    watched.now_ms += 1
    status, second = await watched.asked()
    assert second != first
    assert verify_passport(second, ED25519.trusted("v"), watched.now_ms).issued_ms == watched.now_ms
    watched.publish(watched.service.document(), "2")
    assert await watched.asked() == (200, second)
    restarted = replace(watched.service, signing=PublishedService.create().signing)
    watched.publish(restarted.document(), "3")
    status, third = await watched.asked()
    assert (status, third != second) == (200, True)


async def test_service_away(watched: Watched) -> None:
    """A passport stays while the gateway is away, until it ends; then the reason is said."""
    _, first = await watched.asked()
    watched.publish(b'{"error":"no directory"}', "2", 503)
    assert await watched.asked() == (200, first)
    watched.now_ms += LIFETIME_MS
    status, body = await watched.asked()
    assert status == 503
    assert "no directory" in json.loads(body)["error"]


async def test_nothing_yet(watched: Watched) -> None:
    """Before the first appraisal there is none."""
    response = await watched.verifier.answer(None)  # type: ignore[arg-type]  # not looked at
    assert response.status == 503
    assert int(response.headers["retry-after"]) > 0


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"directory":{},"evidence":{}}'])
async def test_broken_documents(watched: Watched, document: bytes) -> None:
    """They withdraw the passport, and are told once."""
    await watched.asked()
    watched.publish(document, "2")
    status, body = await watched.asked()
    assert status == 503
    assert "cannot be read" in json.loads(body)["error"]


async def test_evidence_that_fails(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """Evidence that is not what the policy demands withdraws the passport at once."""
    await watched.asked()
    other = watched.service.evidence(measurement=bytes(32))
    watched.publish(watched.service.document(evidence=other), "2")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            status, body = await watched.asked()
            assert status == 503
            assert "measurement" in json.loads(body)["error"]
    assert len(caplog.records) == 1
    watched.publish(watched.service.document(), "3")
    assert (await watched.asked())[0] == 200


async def serving(watched: Watched, ask: Any) -> None:
    """Serve while `ask` runs with the URL."""
    stop, url = asyncio.Event(), asyncio.get_running_loop().create_future()
    address = ServiceAddress(port=0)
    running = asyncio.create_task(watched.verifier.serve(address, url.set_result, stop))
    try:
        await ask(await url)
    finally:
        stop.set()
        await running


async def test_over_http(watched: Watched) -> None:
    """The passport comes with its media type; other paths, methods and large bodies are refused."""

    async def ask(url: str) -> None:
        assert url.endswith(PATH)
        async with httpx.AsyncClient() as client:
            answer = await client.get(url)
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("application/eat+jwt; eat_profile=")
            assert verify_passport(answer.text, ED25519.trusted("v"), NOW_MS).issued_ms == NOW_MS
            assert (await client.get(url.replace("passport", "other"))).status_code == 404
            assert (await client.post(url, content=b"x" * 100_000)).status_code == 405

    await watched.verifier.renew()
    await serving(watched, ask)


async def test_address_that_is_taken(watched: Watched) -> None:
    """It says so, and leaves nothing running."""

    async def ask(url: str) -> None:
        port = httpx.URL(url).port
        assert port is not None
        other = Watched(watched.gateway)
        with pytest.raises(OSError, match="in use"):
            await other.verifier.serve(ServiceAddress(port=port), print, asyncio.Event())

    await serving(watched, ask)


async def test_a_defect_ends_it(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verifier that cannot go on ends with the error, and does not serve an old passport on."""

    async def broken() -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(watched.verifier, "renew", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        await watched.verifier.serve(ServiceAddress(port=0), print, asyncio.Event())
