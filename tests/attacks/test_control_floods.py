"""Attacks on the way to the key broker: row 111 of docs/threat-model.md."""

from __future__ import annotations

import asyncio
import json
import threading
from base64 import b64decode, b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from sealflow.attest.evidence import Evidence, Role
from sealflow.attest.policy import appraise
from sealflow.clock import now_ms
from sealflow.owner.http.gateway_api import send_control_request
from sealflow.owner.http.transport import HttpTransport
from sealflow.owner.models.owner_key import opening_key
from sealflow.owner.models.publish import prepare_publication
from sealflow.package.container import seal_package
from sealflow.seal.enclave import enclave_sealing_key
from sealflow.streams.keys import HOSTS_CONTROL_CAPACITY, Keyspace
from sealflow.trusted.keybroker import key_release
from tests.support.cluster.gateway import GatewayProcess
from tests.support.cluster.hosted_keybroker import HostedKeyBroker
from tests.support.models import onnx_models
from tests.support.models.served_models import onnx_manifest
from tests.support.trusted.keybroker import KeyBrokerInstance, make_identity
from tests.support.trusted.lease_host import make_identity as identity_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealflow.host.broker.redis_streams import RedisStreams
    from tests.support.queue.server import QueueServer

FLOODS: dict[str, list[dict[str, Any]]] = {
    "enroll": [
        {"op": "challenge"},
        {"op": "enroll", "challenge": "00" * 56, "evidence": {}},
        {"op": "join", "challenge": "", "evidence": {}},
    ],
    "publish": [
        {"op": "publish", "sealed": "A" * 4000},
        {"op": "revoke", "order": "AAAA", "signature": "AAAA"},
    ],
    "read": [{"op": "describe"}, {"op": "evidence", "nonce": "00" * 32}, {"op": "other"}],
}
SENDERS = 12
MANY = 320
"""More than the queue of control requests takes from a gateway."""


@contextmanager
def flood(url: str, requests: list[dict[str, Any]]) -> Iterator[None]:
    """Send without a pause, from many connections, while the block runs."""
    ended, begun = threading.Event(), threading.Semaphore(0)

    def send(number: int) -> None:
        body = json.dumps(requests[number % len(requests)])
        headers = {"content-type": "application/json"}
        with httpx.Client(timeout=60) as client:
            while not ended.is_set():
                client.post(f"{url}/v1/control", content=body, headers=headers)
                begun.release()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(SENDERS)]
    for thread in threads:
        thread.start()
    for _ in range(2 * SENDERS):
        begun.acquire()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join(60)


class Site:
    """Who needs the key broker: a worker through its host, an owner through the gateway."""

    def __init__(
        self, streams: RedisStreams, gateway: GatewayProcess, host: HostedKeyBroker
    ) -> None:
        """Use these ways."""
        self._streams, self._made = streams, host.made
        self._transport = HttpTransport(gateway.url, ca=None, connections=1)

    def renew(self) -> None:
        """Have a new worker ask for a grant, as its host does."""
        worker = identity_of(self._made, Role.WORKER)
        challenge = self._ask(op="challenge")
        evidence = worker.evidence(challenge["nonce"]).to_json()
        answer = self._ask(op="enroll", challenge=challenge["challenge"], evidence=evidence)
        assert "grant" in answer, answer

    def publish(self, name: str) -> None:
        """Have the owner publish a model, as its client does."""
        nonce = "5a" * 32
        answer = self._transport.run_steps(send_control_request({"op": "evidence", "nonce": nonce}))
        policy = self._made.deployment.policy(Role.KEY_BROKER)
        evidence = Evidence.from_json(answer["evidence"])
        key = enclave_sealing_key(appraise(evidence, policy, now_ms(), nonce=nonce).claims)
        owner, files = (
            self._made.owner,
            {"model.onnx": onnx_models.elementwise("Neg", sizes=(None, 4))},
        )
        package = seal_package(
            onnx_manifest(name), files, signing=owner.signing, sealing=opening_key(owner).public_key
        )
        payload = b64decode(self._ask(op="describe")["directory"]["payload"])
        log_id = json.loads(payload)["history"]
        prepared = prepare_publication(package, owner, key, deployment="test", log_id=log_id)
        sealed = b64encode(prepared.sealed).decode()
        found = self._transport.run_steps(send_control_request({"op": "publish", "sealed": sealed}))
        assert "digest" in found, found

    def _ask(self, **request: object) -> dict[str, Any]:
        control = Keyspace(deployment="test").control
        answer = self._streams.ask(
            control, json.dumps(request).encode(), capacity=HOSTS_CONTROL_CAPACITY, timeout_s=60
        )
        assert answer is not None
        found: dict[str, Any] = json.loads(answer)
        return found


@pytest.fixture
def parts(
    server: QueueServer, streams: RedisStreams
) -> Iterator[tuple[HostedKeyBroker, GatewayProcess, Site]]:
    """A key broker in real time behind a queue and a gateway."""
    with HostedKeyBroker(server) as host, GatewayProcess(server) as gateway:
        yield host, gateway, Site(streams, gateway, host)


def test_111_floods(parts: tuple[HostedKeyBroker, GatewayProcess, Site]) -> None:
    """A flood of any kind keeps no worker from its keys, and no owner from publishing."""
    _, gateway, site = parts
    for kind, requests in FLOODS.items():
        with flood(gateway.url, requests):
            site.renew()
            site.publish(kind)


async def ask_all(url: str, bodies: list[bytes]) -> list[int]:
    """Send all at once; gives the status of each response."""
    headers = {"content-type": "application/json"}
    limits = httpx.Limits(max_connections=len(bodies))
    async with httpx.AsyncClient(timeout=90, limits=limits) as client:
        sent = (client.post(f"{url}/v1/control", content=body, headers=headers) for body in bodies)
        return [response.status_code for response in await asyncio.gather(*sent)]


@pytest.mark.parametrize("kind", FLOODS)
def test_111_full_queue(
    parts: tuple[HostedKeyBroker, GatewayProcess, Site], streams: RedisStreams, kind: str
) -> None:
    """What waits from outside, however much, never keeps out what a worker or an owner asks for."""
    host, gateway, site = parts
    site.renew()
    host.stop()
    bodies = [json.dumps(each).encode() for each in FLOODS[kind]]
    bodies *= MANY // len(bodies)
    with ThreadPoolExecutor(3) as pool:
        junk = pool.submit(lambda: asyncio.run(ask_all(gateway.url, bodies)))
        while streams.depth(Keyspace(deployment="test").control).waiting < 20:
            pass
        needed = [pool.submit(site.renew), pool.submit(site.publish, kind)]
        host.start()
        for each in needed:
            each.result(120)
        assert {200, 429} >= set(junk.result(120))


def test_111_releases(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key broker remembers a bounded number of used challenges, and takes no more meanwhile."""
    monkeypatch.setattr(key_release, "MAX_RELEASES", 1)
    broker = KeyBrokerInstance().lead()
    worker = make_identity(Role.WORKER)
    assert "grant" in broker.enroll(worker)
    challenge = broker.ask("challenge")
    evidence = worker.evidence(challenge["nonce"]).to_json()
    answer = broker.ask("enroll", challenge=challenge["challenge"], evidence=evidence)
    assert answer["error"]["code"] == "unknown_challenge"
    broker.tick(key_release.CHALLENGE_LIFE_MS)
    assert "grant" in broker.enroll(worker)


def test_111_drawn_challenges() -> None:
    """However many challenges strangers draw, a worker's own is good, and nothing is stored."""
    broker = KeyBrokerInstance().lead()
    worker = make_identity(Role.WORKER)
    mine = broker.ask("challenge")
    drawn = {broker.ask("challenge")["challenge"] for _ in range(3000)}
    assert len(drawn) == 3000
    evidence = worker.evidence(mine["nonce"]).to_json()
    for bent in (mine["challenge"][:-2], mine["challenge"] + "00", mine["challenge"][:48], "", "x"):
        answer = broker.ask("enroll", challenge=bent, evidence=evidence)
        assert answer["error"]["code"] == "unknown_challenge"
    assert "grant" in broker.ask("enroll", challenge=mine["challenge"], evidence=evidence)
    spaced = " ".join((mine["challenge"][:10], mine["challenge"][10:]))
    for again in (mine["challenge"], mine["challenge"].upper(), spaced):
        answer = broker.ask("enroll", challenge=again, evidence=evidence)
        assert answer["error"]["code"] == "unknown_challenge"
