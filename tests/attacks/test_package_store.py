"""Attacks on stored packages: rows 104 and 105 of docs/threat-model.md. Real processes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from sealflow.owner import load_owner_key
from sealflow.streams.keys import Keyspace
from tests.support.cluster.gateway import GatewayProcess
from tests.support.cluster.local_cluster import TINY, LocalCluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sealflow.host.broker.redis_streams import RedisStreams
    from tests.support.queue.server import QueueServer

PACKAGE, JUNK = b"p" * 1000, b"j" * 1000
LISTED, MADE_UP = "0a" * 32, "0b" * 32
X = {"x": [[1.0, 2.0, 3.0, 4.0]]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of packages."""
    return tmp_path / "packages"


@pytest.fixture
def gateway(server: QueueServer, streams: RedisStreams, folder: Path) -> Iterator[GatewayProcess]:
    """A gateway whose directory lists one package."""
    row = {
        "digest": LISTED,
        "owner": "0c" * 32,
        "package_bytes": len(PACKAGE),
        "package_sha256": hashlib.sha256(PACKAGE).hexdigest(),
    }
    payload = b64encode(json.dumps({"models": [row]}).encode()).decode()
    document = {"directory": {"payload": payload}, "evidence": {"tee": "simulated"}}
    streams.set(Keyspace(deployment="test").directory, json.dumps(document).encode())
    with GatewayProcess(server, packages_dir=str(folder), max_unlisted_bytes=1500) as running:
        yield running


def put(gateway: GatewayProcess, digest: str, content: bytes) -> int:
    """Upload a file; gives the status."""
    return gateway.http.put(f"/v1/packages/{digest}", content=content).status_code


def test_104_other_file(gateway: GatewayProcess, folder: Path) -> None:
    """Of a published package only the file that its owner signed is stored, before and after."""
    assert put(gateway, LISTED, JUNK) == 409
    assert put(gateway, LISTED, JUNK + JUNK) == 413
    assert list(folder.iterdir()) == []
    assert [put(gateway, LISTED, PACKAGE) for _ in range(2)] == [201, 200]
    assert put(gateway, LISTED, JUNK) == 409
    assert (folder / f"{LISTED}.sealed").read_bytes() == PACKAGE
    (folder / f"{LISTED}.sealed").write_bytes(JUNK)
    assert put(gateway, LISTED, PACKAGE) == 200
    assert (folder / f"{LISTED}.sealed").read_bytes() == PACKAGE


def test_104_made_up_digests(gateway: GatewayProcess, folder: Path) -> None:
    """Files that no directory lists take a bounded part of the disk, and are not shown."""
    assert put(gateway, MADE_UP, JUNK) == 201
    assert put(gateway, MADE_UP, PACKAGE) in {409, 413}
    assert put(gateway, "0d" * 32, JUNK) == 413
    assert put(gateway, "0d" * 32, JUNK[:500]) == 201
    assert put(gateway, "0e" * 32, b"j") == 507
    assert put(gateway, LISTED, PACKAGE) == 201
    listed = gateway.http.get("/v1/packages").json()["packages"]
    assert listed == [{"digest": LISTED, "bytes": len(PACKAGE)}]
    assert (folder / f"{MADE_UP}.sealed").read_bytes() == JUNK


@pytest.mark.usefixtures("long")
def test_105_damaged_file() -> None:
    """A worker that gets another file says so, the host moves it aside, and an upload heals it."""
    with LocalCluster(TINY) as cluster, cluster.client() as client:
        owner = load_owner_key(cluster.home / "owner.key")
        [stored] = (cluster.home / "packages").glob("*.sealed")
        whole = stored.read_bytes()
        stored.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        for pid in cluster.pids("sealflow.trusted.worker"):
            os.kill(pid, signal.SIGKILL)
        aside = stored.with_suffix(".damaged")
        until = time.monotonic() + 60
        while not aside.exists():
            assert time.monotonic() < until
            time.sleep(0.1)
        client.publish(whole, owner)
        assert client.infer("tiny", tensors=X, timeout_s=60).outputs
