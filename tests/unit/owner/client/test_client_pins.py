"""Clients remember the newest directory beside their policy's file."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import ConfigError, EvidenceError
from sealflow.owner import Client, QueueClient
from sealflow.owner.trust.policy_file import write_policy
from tests.support.cluster.gateway_clients import ROW

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cluster.gateway import GatewayProcess
    from tests.support.cluster.scripted_service import ScriptedService
    from tests.support.queue.server import QueueServer

TENSORS = {"x": ROW}


def await_served(gateway: GatewayProcess, version: int) -> None:
    """Wait until the gateway, which remembers a directory for a second, serves this version."""
    found = 0
    while found != version:
        time.sleep(0.05)
        document = gateway.http.get("/v1/directory").json()
        found = json.loads(b64decode(document["directory"]["payload"]))["version"]


@pytest.fixture
def policy(service: ScriptedService, tmp_path: Path) -> Path:
    """The service's policy in a file."""
    path = tmp_path / "client.toml"
    write_policy(path, service.published.policy)
    return path


def test_156_restart(gateway: GatewayProcess, service: ScriptedService, policy: Path) -> None:
    """A client that is made anew refuses what is older than what the one before saw."""
    older = service.directory
    service.renew()
    await_served(gateway, older.version + 1)
    with Client(gateway.url, policy=policy) as client:
        assert client.infer("m", tensors=TENSORS).outputs
    assert policy.with_suffix(".pin").stat().st_mode & 0o777 == 0o600
    service.publish(older)
    await_served(gateway, older.version)
    with (
        Client(gateway.url, policy=policy) as client,
        pytest.raises(EvidenceError, match="older than the pinned") as caught,
    ):
        client.infer("m", tensors=TENSORS)
    assert caught.value.code == "directory_rollback"
    with Client(gateway.url, policy=policy, insecure_unpinned=True) as client:
        assert client.infer("m", tensors=TENSORS).outputs


def test_no_place_for_it(gateway: GatewayProcess, policy: Path) -> None:
    """Where nothing can be written, the error says what to give; nothing is sent."""
    blocked = policy.with_suffix(".pin")
    blocked.mkdir()
    with pytest.raises(ConfigError, match=r"client.pin.*insecure_unpinned"):
        Client(gateway.url, policy=policy)
    with Client(gateway.url, policy=policy, pin=policy.with_name("other.pin")) as client:
        assert client.infer("m", tensors=TENSORS).outputs


def test_queue(
    gateway: GatewayProcess, service: ScriptedService, queue: QueueServer, policy: Path
) -> None:
    """A client of the queue shares the pin."""
    with Client(gateway.url, policy=policy) as client:
        client.verify()
    before = policy.with_suffix(".pin").read_bytes()
    service.renew()
    with QueueClient(queue.url, policy=policy) as client_of_queue:
        client_of_queue.verify()
    assert policy.with_suffix(".pin").read_bytes() != before
