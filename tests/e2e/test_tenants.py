"""A whole cluster that serves tenants: tokens by every client, and a flood of one tenant."""

from __future__ import annotations

import asyncio
import json
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.errors import ConfigError, QuotaExceededError, SealflowError, TenantRefusedError
from sealflow.owner import AsyncClient, Client, QueueClient
from tests.support.cluster.local_cluster import PHOTOS, TINY, LocalCluster, sealflow

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKERS = 2
ROW = {"x": [[1.0, 2.0, 3.0, 4.0]]}


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a `sealflow` command."""
    return subprocess.run(
        sealflow(*map(str, arguments)), capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def home() -> Path:
    """A home with the key of a tenant authority, before its cluster starts."""
    found = Path(tempfile.mkdtemp(prefix="sf-", dir="/tmp"))
    made = command("tenants", "init", "--home", found)
    assert made.returncode == 0, made.stderr
    assert command("tenants", "init", "--home", found).stdout == made.stdout
    return found


@pytest.fixture(scope="module")
def serving(home: Path) -> Iterator[LocalCluster]:
    """A cluster that serves tenants."""
    with LocalCluster(TINY, home=home, options=("--workers", str(WORKERS))) as running:
        yield running


def token(home: Path, tenant: str, *options: str) -> Path:
    """The file of a new token."""
    path = home / f"{tenant}.token"
    made = command("tenants", "create", tenant, "--out", path, "--home", home, *options)
    assert made.returncode == 0, made.stderr
    return path


def test_every_client(serving: LocalCluster, home: Path) -> None:
    """With a token all clients are served, without one none is."""
    path = token(home, "carol")
    options: dict[str, Any] = {"policy": serving.policy, "tenant_token": path}
    with Client(serving.url, **options) as client:
        assert client.infer("tiny", tensors=ROW).outputs["probabilities"].shape == (1, 3)
    with serving.client() as client, pytest.raises(TenantRefusedError):
        client.infer("tiny", tensors=ROW)

    async def ask() -> None:
        async with AsyncClient(serving.url, **options) as client:
            await client.infer("tiny", tensors=ROW)

    asyncio.run(ask())
    with QueueClient(serving.facts["broker"]["url"], **options) as queue:
        queue.enqueue_many("tiny", {"one": ROW})
        result = queue.query("one", timeout_s=30.0)
    assert result is not None
    assert result.outputs["probabilities"].shape == (1, 3)
    with pytest.raises(ConfigError, match="tenant token"):
        Client(serving.url, policy=serving.policy, tenant_token=PHOTOS / "expected.json")


@pytest.mark.usefixtures("serving")
def test_commands(home: Path) -> None:
    """`show` checks tokens, and `create` overwrites none."""
    path = token(home, "dave", "--weight", "7")
    shown = command("tenants", "show", path, "--home", home)
    assert shown.returncode == 0
    assert "dave" in shown.stdout
    changed = home / "changed.token"
    changed.write_text(path.read_text().replace(".", "x.", 1))
    refused = command("tenants", "show", changed, "--home", home)
    assert refused.returncode == 5
    again = command("tenants", "create", "dave", "--out", path, "--home", home)
    assert again.returncode == 2


def test_quota(serving: LocalCluster, home: Path) -> None:
    """A tenant gets its quota, and then an error of its own."""
    path = token(home, "erin", "--requests", "3")
    with Client(serving.url, policy=serving.policy, tenant_token=path) as client:
        served = 0
        with pytest.raises(QuotaExceededError, match="requests"):
            for _ in range(3 * WORKERS + 1):
                client.infer("tiny", tensors=ROW)
                served += 1
        assert 3 <= served <= 3 * WORKERS


def test_a_flood_of_one_tenant(serving: LocalCluster, home: Path) -> None:
    """While one tenant floods, another one is served each time."""
    stop = threading.Event()
    outcomes: set[str] = set()
    options: dict[str, Any] = {"policy": serving.policy, "tenant_token": token(home, "flood")}

    def flood() -> None:
        with Client(serving.url, **options) as client:
            rows = {"x": [[1.0, 2.0, 3.0, 4.0]] * 1000}
            while not stop.is_set():
                for outcome in client.infer_many("tiny", [rows] * 64, concurrency=64):
                    value = outcome.value
                    outcomes.add(value.code if isinstance(value, SealflowError) else "ok")

    flooding = [threading.Thread(target=flood) for _ in range(2)]
    for thread in flooding:
        thread.start()
    try:
        path = token(home, "grace")
        with Client(serving.url, policy=serving.policy, tenant_token=path) as client:
            for _ in range(20):
                assert client.infer("tiny", tensors=ROW).model.name == "tiny"
    finally:
        stop.set()
        for thread in flooding:
            thread.join()
    assert "ok" in outcomes
    assert outcomes <= {"ok", "quota_exceeded"}


def usage(home: Path) -> dict[str, Any]:
    """What `sealflow tenants usage` says."""
    shown = command("tenants", "usage", "--home", home, "--json")
    assert shown.returncode == 0, shown.stderr
    found: dict[str, Any] = json.loads(shown.stdout)
    return found


def test_usage(serving: LocalCluster, home: Path) -> None:
    """The records of all workers add up to what a tenant used, now and later."""
    with Client(serving.url, policy=serving.policy, tenant_token=token(home, "heidi")) as client:
        for _ in range(10):
            client.infer("tiny", tensors=ROW)
        first = usage(home)
        client.infer("tiny", tensors=ROW)
    second = usage(home)
    for found, requests in ((first, 10), (second, 11)):
        assert found["complete"]
        assert len(found["workers"]) == WORKERS
        (used,) = [each for each in found["tenants"] if each["tenant"] == "heidi"]
        assert (used["requests"], used["rows"], used["refused"]) == (requests, requests, 0)
        assert used["bytes"] > 0
    kept = home / "usage.jsonl"
    assert kept.stat().st_mode & 0o777 == 0o600
    log = home / "usage.log"
    assert command("log", "fetch", log, "--home", home).returncode == 0
    checked = command("receipt", "verify", kept, "--log", log, "--policy", home / "client.toml")
    assert checked.returncode == 0, checked.stderr
    shown = command("tenants", "usage", "--home", home)
    assert "heidi" in shown.stdout
    stranger = home / "owner.key"
    refused = command("tenants", "usage", "--home", home, "--key", stranger, "--json")
    assert refused.returncode != 0
    assert json.loads(refused.stdout)["code"] == "tenant_refused"


def test_revoke(serving: LocalCluster, home: Path) -> None:
    """A revoked token is refused by all workers, and one of another tenant is not."""
    options: dict[str, Any] = {"policy": serving.policy}
    with (
        Client(serving.url, tenant_token=token(home, "ivan"), **options) as revoked,
        Client(serving.url, tenant_token=token(home, "judy"), **options) as other,
    ):
        revoked.infer("tiny", tensors=ROW)
        done = command("tenants", "revoke", "ivan", "--home", home, "--json")
        assert done.returncode == 0, done.stderr

        def refused() -> bool:
            try:
                revoked.infer("tiny", tensors=ROW)
            except TenantRefusedError:
                return True
            return False

        in_a_row = 0
        until = time.monotonic() + 60
        while in_a_row < 4 * WORKERS and time.monotonic() < until:
            in_a_row = in_a_row + 1 if refused() else 0
        assert in_a_row == 4 * WORKERS
        other.infer("tiny", tensors=ROW)
    listed = command("tenants", "list", "--home", home, "--json")
    states = {each["tenant"]: each["state"] for each in json.loads(listed.stdout)["tokens"]}
    assert (states["ivan"], states["judy"]) == ("revoked", "valid")
    assert "ivan" in command("tenants", "list", "--home", home).stdout
    assert (home / "tenants.jsonl").stat().st_mode & 0o777 == 0o600
    again = command("tenants", "revoke", "ivan", "--home", home)
    assert again.returncode == 2
    assert "nothing to revoke" in again.stderr
    unknown = command("tenants", "revoke", "nobody", "--home", home)
    assert unknown.returncode == 2
    by_id = command("tenants", "revoke", "--id", "ab" * 16, "--home", home)
    assert by_id.returncode == 0, by_id.stderr
