"""The release before and today's: clients, services and files of one with those of the other."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sealflow.owner import Client, OwnerKey, load_owner_key, pack_folder
from sealflow.owner.trust.policy_file import load_policy_file
from tests.compat.exchange import ROW
from tests.compat.previous import install_previous
from tests.support.cluster.local_cluster import LITE0, PHOTOS, ROOT, TINY, LocalCluster, sealflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.hosts.python_environments import Environment

    Exchange = Callable[..., dict[str, Any]]

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
PROGRAM = Path(__file__).with_name("exchange.py")
PHOTO = PHOTOS / "chelsea.jpg"


def run(*arguments: object) -> Any:
    """Run a command of today's release that prints one JSON document; return that."""
    command = sealflow(*map(str, arguments), "--json")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def yesterday(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel, for clients and services."""
    folder = tmp_path_factory.mktemp("previous") / "env"
    return install_previous(folder, "owner", "host", "trusted")


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Today's cluster with the two example models."""
    with LocalCluster(TINY, LITE0) as running:
        yield running


@pytest.fixture
def place() -> Iterator[Path]:
    """A working directory outside of the checkout, with a path short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="sf-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def facts(where: dict[str, Any], home: Path, place: Path) -> str:
    """Return what the program takes. `where`: what `sealflow up` printed in the folder `home`."""
    return json.dumps(
        {
            "url": where["url"],
            "broker": where["broker_url"],
            "policy": str(home / where["policy"]),
            "pin": str(place / "client.pin"),
            "photo": str(PHOTO),
            "receipts": str(place / "receipts"),
        }
    )


def exchange_today(given: str) -> dict[str, Any]:
    """Run the exchange with today's release."""
    done = subprocess.run(
        (sys.executable, str(PROGRAM), given),
        cwd="/", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def exchange_yesterday(environment: Environment, given: str, cwd: Path) -> dict[str, Any]:
    """Run the exchange with the release before."""
    (found,) = environment.python(str(PROGRAM), given, cwd=cwd).json
    return dict(found)


def check_exchange(found: dict[str, Any]) -> None:
    """Check what both examples answered, by HTTP and through the queue."""
    assert found["simulated"]
    assert {"efficientnet-lite0", "tiny"} <= set(found["models"])
    assert found["receipt"] == "tiny:1"
    by_http, queued, doubled = (np.array(each) for each in found["rows"])
    np.testing.assert_allclose(by_http, queued, rtol=1e-5)
    assert not np.allclose(queued, doubled)
    expected = json.loads((PHOTOS / "expected.json").read_text())[PHOTO.name]
    assert found["labels"] == [expected["label"]] * 2


def test_the_wheel_is_used(yesterday: Environment, place: Path) -> None:
    """The environment runs the wheel's code, and nothing of this checkout."""
    program = "import sealflow; print(sealflow.__file__)"
    shown = yesterday.python("-c", program, cwd=place).out.strip()
    assert Path(shown).is_relative_to(yesterday.folder)
    assert not Path(shown).is_relative_to(ROOT)


def test_yesterdays_client(yesterday: Environment, cluster: LocalCluster, place: Path) -> None:
    """Yesterday's client verifies today's cluster, infers, and checks receipts and log.

    Then pins and receipts change hands: each release goes on with the other's pin.
    """
    given = facts(cluster.facts, Path(), place)
    before = exchange_yesterday(yesterday, given, place)
    check_exchange(before)
    policy = ("--policy", str(cluster.policy))
    log, receipts = str(place / "log"), str(place / "receipts")
    run("log", "fetch", log, "--url", cluster.url, *policy)
    assert run("receipt", "verify", receipts, "--log", log, *policy)["verified"]
    after = exchange_today(given)
    check_exchange(after)
    assert after["rows"] == before["rows"]
    assert after["log"] == before["log"]
    shown = yesterday.run("receipt", "verify", receipts, "--log", log, *policy, cwd=place)
    assert shown.code == 0, shown.err
    check_exchange(exchange_yesterday(yesterday, given, place))


def test_yesterdays_commands(yesterday: Environment, cluster: LocalCluster, place: Path) -> None:
    """The commands of yesterday's release read today's service, status, log and policy."""
    policy = ("--policy", str(cluster.policy))
    reach = ("--url", cluster.url, *policy)
    (verified,) = yesterday.run("verify", "--json", *reach, cwd=place).json
    assert verified["simulated"]
    (status,) = yesterday.run("status", "--json", *reach, cwd=place).json
    assert status["ready"]
    (found,) = yesterday.run("infer", str(PHOTO), "-k", "1", "--json", *reach, cwd=place).json
    assert found["top"][0]["label"]
    assert yesterday.run("log", "fetch", "log", *reach, cwd=place).code == 0
    (said,) = yesterday.run("log", "verify", "log", *policy, "--json", cwd=place).json
    assert run("log", "verify", place / "log", *policy)["head"] == said["head"]


def test_policies_and_keys(yesterday: Environment, place: Path) -> None:
    """Policy files and owners' keys of one release are read by the other, with the same meaning."""
    assert yesterday.run("init", "old", cwd=place).code == 0
    run("init", place / "new")
    for home in ("old", "new"):
        policy = place / home / "client.toml"
        (said,) = yesterday.run("policy", "check", str(policy), "--json", cwd=place).json
        # `lines` are words for people, which a release may change.
        assert {**said, "lines": 0} == {**run("policy", "check", policy), "lines": 0}
        load_policy_file(policy)
        key = place / home / "owner.key"
        program = "import sys; from sealflow.owner import load_owner_key as load"
        program += "\nprint(load(sys.argv[1]).signer)"
        shown = yesterday.python("-c", program, str(key), cwd=place)
        assert shown.out.strip() == load_owner_key(key).signer


def renamed(folder: Path, name: str) -> Path:
    """Copy the small example to a folder under another name."""
    shutil.copytree(TINY, folder)
    described = folder / "model.toml"
    text = described.read_text()
    assert text.count('"tiny"') == 1
    described.write_text(text.replace('"tiny"', f'"{name}"'))
    return folder


def served_row(client: Client, name: str) -> Any:
    """Return the answer of a model, with a receipt that is about this model."""
    result = client.infer(name, tensors={"x": ROW}, timeout_s=60)
    return result.outputs["probabilities"]


def test_packages(yesterday: Environment, cluster: LocalCluster, place: Path) -> None:
    """Packages that one release packed are published by either, and served by today's cluster."""
    owner = cluster.home / "owner.key"
    key: OwnerKey = load_owner_key(owner)
    packed = []
    for name in ("old-old", "old-new"):
        folder = renamed(place / name, name)
        package = str(place / f"{name}.sealed")
        words = ("model", "pack", str(folder), "-o", package, "--owner-key", str(owner))
        done = yesterday.run(*words, cwd=place)
        assert done.code == 0, done.err
        packed.append(package)
    newer = place / "new-old.sealed"
    newer.write_bytes(pack_folder(renamed(place / "new-old", "new-old"), key))
    reach = ("--url", cluster.url, "--policy", str(cluster.policy), "--owner-key", str(owner))
    for package in (packed[0], str(newer)):
        done = yesterday.run("model", "publish", package, *reach, cwd=place)
        assert done.code == 0, done.err
    with cluster.client() as client:
        client.publish(packed[1], key)
        expected = served_row(client, "tiny")
        for name in ("old-old", "old-new", "new-old"):
            np.testing.assert_allclose(served_row(client, name), expected, rtol=1e-5)


def test_yesterdays_service(yesterday: Environment, place: Path) -> None:
    """Today's client verifies yesterday's cluster, infers, and checks receipts and log."""
    models = ("--model", str(TINY), "--model", str(LITE0))
    with yesterday.up(place, *models) as where:
        given = facts(where, place, place)
        check_exchange(exchange_today(given))
        check_exchange(exchange_yesterday(yesterday, given, place))
        reach = ("--url", where["url"], "--policy", place / where["policy"])
        assert run("verify", *reach)["simulated"]
        assert run("status", *reach)["ready"]
