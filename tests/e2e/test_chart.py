"""The chart's own pods, run by podman: installed, used, attacked, killed, upgraded under load."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.chart.installed_release import InstalledRelease
from tests.support.chart.release_checks import (
    BENCH,
    SERVED,
    await_true,
    can_reach,
    finish,
    loaded_models,
    publish,
    read_status,
    replace_pod,
    spoil_request,
)
from tests.support.chart.rendering import NAMESPACE, RELEASE, HelmError, merge_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.kubernetes.api.store import Object

pytestmark = [pytest.mark.pods, pytest.mark.timeout(300)]

LOCAL: Final[Object] = {
    "engine": {"kind": "local", "settings": {"stale_after_s": 3}},
    "gateway": {"replicas": 2},
    "taskmanager": {"replicas": 2},
}
PORTS: Final = {"broker": 6379, "gateway": 8470}


@pytest.fixture(scope="module")
def site() -> Iterator[InstalledRelease]:
    """A release of the local engine, with a published model that all workers have loaded."""
    folder = Path(tempfile.mkdtemp(prefix="sf-"))
    folder.chmod(0o755)
    found = InstalledRelease(folder)
    try:
        found.prepare()
        found.helm("install", release=found.values(LOCAL))
        publish(found)
        try:
            await_true(lambda: loaded_models(found) == 2)
        except AssertionError:
            logs = [pod.logs() for pod in found.node.pods("taskmanager")]
            pytest.fail("\n".join([json.dumps(read_status(found)), *logs]))
        yield found
    finally:
        found.close()
        shutil.rmtree(folder)


def test_the_benchmark_pod(site: InstalledRelease) -> None:
    """`helm test` runs the benchmark to its line, with every answer right."""
    try:
        said = site.helm("test", "--logs")
    except HelmError as error:
        pytest.fail(f"{error}{site.node.pod(f'{RELEASE}-benchmark').logs()}")
    served = SERVED.search(said)
    assert served is not None
    assert served[1] == "100"


def test_network_policies_hold(site: InstalledRelease) -> None:
    """A neighbour reaches the gateway alone, a worker's pod the broker, a stranger nothing."""
    label = "app.kubernetes.io/component"
    own = {"app.kubernetes.io/name": "sealflow", "app.kubernetes.io/instance": RELEASE}
    guests = {
        "neighbour": (site.owner, {"gateway"}),
        "worker": (site.guest({**own, label: "taskmanager"}), {"broker"}),
        "benchmark": (site.guest({**own, label: "benchmark"}), {"gateway"}),
    }
    broker = site.node.pods("broker")[0].address
    await_true(lambda: can_reach(guests["worker"][0], broker, PORTS["broker"]))
    for guest, expected in guests.values():
        found = {
            component
            for component, port in PORTS.items()
            if can_reach(guest, site.node.pods(component)[0].address, port)
        }
        assert found == expected


def test_pods_are_confined(site: InstalledRelease) -> None:
    """Inside, nobody is root, has a capability, may gain one, or can write to the root."""
    for component in ("broker", "keybroker", "gateway", "taskmanager"):
        for pod in site.node.pods(component):
            process = Path("/proc") / str(site.pid(pod))
            lines = (process / "status").read_text().splitlines()
            fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
            assert fields["Uid"].split() == ["10001"] * 4
            assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
            assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
            root = (process / "mounts").read_text().splitlines()[0].split()
            assert root[1] == "/"
            assert "ro" in root[3].split(",")
            variables = (process / "environ").read_bytes().lower()
            assert b"password" not in variables


def test_pods_killed_under_load(site: InstalledRelease) -> None:
    """A worker's pod, the key broker's and the broker's are killed: every answer still comes."""
    load = site.sealflow(site.owner, *BENCH, "-n300", "--rate=10")
    for component in ("taskmanager", "keybroker", "broker"):
        pod = site.node.pods(component)[0]
        before = pod.restarts
        time.sleep(1)
        assert load.poll() is None, "the load ended before the kill"
        site.kill(pod)
        await_true(lambda pod=pod, before=before: pod.restarts > before and pod.ready)  # type: ignore[misc]
    said = finish(load)
    assert SERVED.search(said), said
    await_true(lambda: loaded_models(site) == 2)


def test_an_upgrade_under_load(site: InstalledRelease) -> None:
    """`helm upgrade` replaces every gateway and worker pod while requests come: none is lost."""
    before = {pod.address for name in ("gateway", "taskmanager") for pod in site.node.pods(name)}
    changed = {"gateway": {"settings": {"max_wait_s": 100}}, "engine": {"settings": {"window": 16}}}
    load = site.sealflow(site.owner, *BENCH, "-n400", "--rate=8")
    site.helm("upgrade", release=site.values(merge_values(LOCAL, changed)))
    after = {pod.address for name in ("gateway", "taskmanager") for pod in site.node.pods(name)}
    assert not before & after
    assert len(after) == 4
    said = finish(load)
    assert SERVED.search(said), said


WRONG: Final = {
    "engine's password": ("engine-password", "broker", "wrong", "error: the broker refuses this"),
    "gateway's password": ("gateway-password", "broker", "wrong", "error: the broker refuses this"),
    "control's password": ("control-password", "broker", "wrong", "error: the broker refuses this"),
    "no password": ("engine-password", "broker", None, "error: broker password file .*: No such"),
    "gateway's certificate": (
        "gateway-tls",
        "tls.crt",
        "x",
        "error: broker_certificate_file .* PEM",
    ),
    "no certificate": ("gateway-tls", "tls.crt", None, "error: broker_certificate_file .*No such"),
    "another root": (
        "engine-tls",
        "ca.crt",
        "keys/engine/ca.crt",
        "error: the broker's certificate",
    ),
    "another key": (
        *("engine-tls", "tls.key", "keys/engine/tls.key"),
        "error: broker_certificate_file .*mismatch",
    ),
    "another platform": (
        *("platform", "simulated-platform.json", "trial/simulated-platform.json"),
        "error: workers cannot serve this deployment: the key broker's policy does not accept",
    ),
    "no platform": (
        *("platform", "simulated-platform.json", "{}"),
        "error: workers cannot serve this deployment: .*simulated_platform_file is damaged",
    ),
    "the broker's users": ("broker-password", "users.acl", "x", "Aborting .* ACL errors"),
}
COMPONENTS: Final = {"platform": "taskmanager", "engine": "taskmanager", "control": "keybroker"}


@pytest.fixture(scope="module")
def other(site: InstalledRelease) -> Path:
    """A folder with keys and a trial of another deployment."""
    folder = site.folder / "other"
    site.run("sealflow", "init", str(folder / "trial"))
    place = (f"--release={RELEASE}", f"--namespace={NAMESPACE}", "--kubernetes")
    site.run("sealflow", "keys", "make", str(folder / "made"), *place)
    (folder / "keys").symlink_to(folder / "made" / "keys")
    return folder


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_secret(site: InstalledRelease, other: Path, name: str) -> None:
    """A pod whose Secret is wrong says so in one line, and comes back when it is right again."""
    place, key, wrong, reason = WRONG[name]
    if wrong is not None and (other / wrong).is_file():
        wrong = (other / wrong).read_text()
    full = "sealflow-simulated-platform" if place == "platform" else f"{RELEASE}-{place}"
    owner = place.partition("-")[0]
    component = COMPONENTS.get(owner, owner)
    pod = site.node.pods(component)[0]
    before = len(pod.logs())
    with spoil_request(site, full, key, wrong):
        site.kill(pod)
        await_true(lambda: re.search(reason, pod.logs()[before:]) is not None)
        await_true(lambda: pod.restarts >= 2)
    replace_pod(site, pod)
    await_true(lambda: loaded_models(site) == 2)
