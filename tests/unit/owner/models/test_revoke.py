"""Revoking by way of a host that may answer anything: it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealflow.errors import (
    ConfigError,
    MalformedError,
    SealflowError,
    UnavailableError,
)
from sealflow.owner import Revoked, RevokedKind
from tests.support.cluster.scripted_keybroker import ScriptedKeyBroker, error

if TYPE_CHECKING:
    from sealflow.owner import Client
    from tests.support.cluster.scripted_service import ScriptedService

REVOKED = Revoked(kind=RevokedKind.MODEL, id="cd" * 32)


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
    keybroker: ScriptedKeyBroker,
    service: ScriptedService,
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
