"""Publishing and revoking by way of a host that may answer anything: nothing leaks or hangs."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.documents.revocation import Revoked, RevokedKind
from sealflow.errors import (
    BundleError,
    ConfigError,
    EvidenceError,
    MalformedError,
    PolicyError,
    SealflowError,
    UnavailableError,
)
from sealflow.host.broker.redis_streams import RedisStreams
from sealflow.owner import Client
from sealflow.owner.models import publish, revoke
from sealflow.owner.models.packing import pack_folder
from tests.support.cluster.gateway import RunningGateway
from tests.support.cluster.local_cluster import TINY
from tests.support.cluster.published_service import Published
from tests.support.cluster.scripted_service import KEYS, PlayedService, now_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.queue.server import Server

    Script = Callable[[dict[str, Any]], object]

REVOKED = Revoked(kind=RevokedKind.MODEL, id="cd" * 32)


class PlayedKeyBroker:
    """Answers what comes to the key broker, as a test says."""

    def __init__(self, queue: Server) -> None:
        """Begin to answer."""
        self._streams = RedisStreams(queue.url)
        self._streams.ensure_group(KEYS.control)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self.script: Script = lambda _: {"error": {"code": "unavailable", "detail": "no"}}
        self.seen: list[dict[str, Any]] = []
        self._thread.start()

    def _serve(self) -> None:
        while not self._ended.is_set():
            for delivery in self._streams.claim(KEYS.control, "played", 1, 100):
                request = json.loads(delivery.envelope)
                self.seen.append(request)
                answer = json.dumps(self.script(request)).encode()
                self._streams.answer(KEYS.control, [(delivery, answer)])

    def close(self) -> None:
        """Answer no more."""
        self._ended.set()
        self._thread.join(20)
        self._streams.close()


@pytest.fixture(scope="module")
def gateway(queue: Server, played: PlayedService) -> Iterator[RunningGateway]:
    """A gateway that stores packages."""
    with RunningGateway(queue, packages_dir=str(queue.folder / "packages")) as running:
        yield running


@pytest.fixture
def keybroker(queue: Server, service: PlayedService) -> Iterator[PlayedKeyBroker]:
    """The key broker."""
    running = PlayedKeyBroker(queue)
    yield running
    running.close()


@pytest.fixture
def client(gateway: RunningGateway, service: PlayedService) -> Iterator[Client]:
    """An owner's client."""
    with Client(gateway.url, policy=service.published.policy) as made:
        yield made


@pytest.fixture(scope="module")
def package(played: PlayedService) -> bytes:
    """A package of the owner."""
    return pack_folder(TINY, played.published.site.owner)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (publish, revoke):
        monkeypatch.setattr(module, "APPEAR_S", 0.3)


def error(code: str) -> dict[str, object]:
    """An answer that says what went wrong."""
    return {"error": {"code": code, "detail": "because"}}


def proving(service: PlayedService, then: object, **claims: Any) -> Script:
    """Prove oneself when asked, and answer all else alike."""

    def answer(request: dict[str, Any]) -> object:
        if request["op"] != "evidence":
            return then
        bound = service.published.bound(**{"nonce": request["nonce"], **claims})
        return {"evidence": service.published.evidence(bound).to_json()}

    return answer


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (error("not_allowed"), ConfigError, r"did not revoke it \(not_allowed\): because"),
        (error("unavailable"), UnavailableError, "did not answer: because"),
        ({}, UnavailableError, "no directory version"),
        ({"version": "7"}, UnavailableError, "no directory version"),
        ({"version": True}, UnavailableError, "no directory version"),
        ({"version": 10**9}, UnavailableError, "the directory does not list it: order it again"),
        ({"version": 0}, UnavailableError, "the directory does not list it: order it again"),
        ([], MalformedError, "answer of the key broker"),
    ],
)
def test_revoking(
    client: Client,
    keybroker: PlayedKeyBroker,
    service: PlayedService,
    answer: object,
    kind: type[SealflowError],
    says: str,
) -> None:
    """Whatever the answer, it ends: revoked is only what the verified directory says is."""
    keybroker.script = lambda _: answer
    with pytest.raises(kind, match=says):
        client.revoke(REVOKED, service.published.site.owner)
    [order] = keybroker.seen
    assert order["op"] == "revoke"


@pytest.mark.parametrize(
    "case",
    [
        (error("not_an_owner"), ConfigError, "does not take models from this key: because"),
        (error("bundle"), BundleError, r"refused the model \(bundle\): because"),
        ({"error": 7}, UnavailableError, "publish again"),
        ({"version": 10**9}, UnavailableError, "does not appear: see sealflow model list"),
    ],
)
def test_publishing(
    client: Client,
    keybroker: PlayedKeyBroker,
    service: PlayedService,
    package: bytes,
    case: tuple[object, type[SealflowError], str],
) -> None:
    """What the key broker says to a model is raised; what never comes is not waited for."""
    answer, kind, says = case
    keybroker.script = proving(service, answer)
    with pytest.raises(kind, match=says):
        client.publish(package, service.published.site.owner)
    assert [each["op"] for each in keybroker.seen[:2]] == ["evidence", "publish"]


def test_no_key_for_the_unproved(
    client: Client, keybroker: PlayedKeyBroker, service: PlayedService, package: bytes
) -> None:
    """A key broker that proves something else, or nothing, or too late, gets no content key."""
    stranger = Published.create(now_ms())
    scripts: list[Script] = [
        proving(service, {}, nonce="11" * 32),
        proving(service, {}, deployment="other"),
        lambda _: {"evidence": stranger.evidence().to_json()},
        lambda _: {"evidence": {"tee": "simulated"}},
        lambda _: error("unavailable"),
        lambda _: {},
    ]
    for script in scripts:
        keybroker.script = script
        with pytest.raises((EvidenceError, PolicyError, MalformedError, UnavailableError)):
            client.publish(package, service.published.site.owner)
    assert {each["op"] for each in keybroker.seen} == {"evidence"}


def test_packages_of_others(
    client: Client, keybroker: PlayedKeyBroker, service: PlayedService, package: bytes
) -> None:
    """A package that is damaged, of another owner, or not there, is refused before it is sent."""
    owner = service.published.site.owner
    stranger = Published.create(now_ms()).site.owner
    for content, key in ((package, stranger), (package[:1000], owner), (b"nonsense", owner)):
        with pytest.raises((BundleError, EvidenceError, MalformedError, ConfigError)):
            client.publish(content, key)
    with pytest.raises(ConfigError, match="absent: cannot read the package"):
        client.publish("absent", owner)
    assert keybroker.seen == []


def test_log_without_end(
    client: Client, service: PlayedService, queue: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that serves records forever is not read forever."""
    from sealflow.owner.http import gateway_api

    monkeypatch.setattr(gateway_api, "MAX_LOG_RECORDS", 50)
    streams = RedisStreams(queue.url)
    script = "for n = 0, 59 do redis.call('XADD', KEYS[1], n .. '-1', 'e', 'x') end return 1"
    streams.run_script(script, [KEYS.log], [])
    with pytest.raises(UnavailableError, match="has no end"):
        client.fetch_log()
    monkeypatch.setattr(gateway_api, "MAX_LOG_RECORDS", 60)
    assert len(client.fetch_log()) == 60
    streams.delete(KEYS.log)
    streams.close()
