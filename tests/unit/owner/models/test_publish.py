"""Publishing by way of a host that may answer anything: nothing leaks or hangs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sealflow.errors import (
    BundleError,
    ConfigError,
    EvidenceError,
    MalformedError,
    PolicyError,
    SealflowError,
    UnavailableError,
)
from sealflow.owner import pack_folder
from tests.support.cluster.local_cluster import TINY
from tests.support.cluster.published_service import PublishedService
from tests.support.cluster.scripted_keybroker import ScriptedKeyBroker, error
from tests.support.cluster.scripted_service import ScriptedService, now_ms

if TYPE_CHECKING:
    from sealflow.owner import Client
    from tests.support.cluster.scripted_keybroker import Script


@pytest.fixture(scope="module")
def package(scripted: ScriptedService) -> bytes:
    """A package of the owner."""
    return pack_folder(TINY, scripted.published.site.owner)


def proving(service: ScriptedService, then: object, **claims: Any) -> Script:
    """Prove oneself when asked, and answer all else alike."""

    def answer(request: dict[str, Any]) -> object:
        if request["op"] != "evidence":
            return then
        bound = service.published.bound(**{"nonce": request["nonce"], **claims})
        return {"evidence": service.published.evidence(bound).to_json()}

    return answer


@pytest.mark.parametrize(
    "case",
    [
        (error("not_an_owner"), ConfigError, "does not accept models of this owner: because"),
        (error("bundle"), BundleError, r"refused the model \(bundle\): because"),
        ({"error": 7}, UnavailableError, "publish again"),
        ({"version": 10**9}, UnavailableError, "does not appear: see sealflow model list"),
    ],
)
def test_publishing(
    client: Client,
    keybroker: ScriptedKeyBroker,
    service: ScriptedService,
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
    client: Client, keybroker: ScriptedKeyBroker, service: ScriptedService, package: bytes
) -> None:
    """A key broker that proves something else, or nothing, or too late, gets no content key."""
    stranger = PublishedService.create(now_ms())
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
    client: Client, keybroker: ScriptedKeyBroker, service: ScriptedService, package: bytes
) -> None:
    """A package that is damaged, of another owner, or not there, is refused before it is sent."""
    owner = service.published.site.owner
    stranger = PublishedService.create(now_ms()).site.owner
    for content, key in ((package, stranger), (package[:1000], owner), (b"nonsense", owner)):
        with pytest.raises((BundleError, EvidenceError, MalformedError, ConfigError)):
            client.publish(content, key)
    with pytest.raises(ConfigError, match="absent: cannot read the package"):
        client.publish("absent", owner)
    assert keybroker.seen == []
