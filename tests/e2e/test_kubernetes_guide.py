"""docs/guide/kubernetes.md walked as written, with Flink's own pods; then these are attacked."""

from __future__ import annotations

import shlex
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.chart.guide_commands import commands
from tests.support.chart.installed_release import InstalledRelease
from tests.support.chart.release_checks import (
    BENCH,
    SERVED,
    await_true,
    can_reach,
    finish,
    loaded_models,
    replace_pod,
    spoil_request,
)
from tests.support.chart.rendering import NAMESPACE, RELEASE, HelmError
from tests.support.kubernetes.node.controllers import BY_NAME

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

pytestmark = [pytest.mark.pods, pytest.mark.timeout(600)]

WEB_UI: Final = 8081
UPGRADE: Final = f"helm upgrade {RELEASE}"


class Walk:
    """Follows the guide in the owner's folder; what runs on is stopped in the end."""

    def __init__(self, site: InstalledRelease) -> None:
        """Stand at its beginning."""
        self.site = site
        self.said: dict[str, str] = {}
        self._forwards: list[subprocess.Popen[str]] = []

    def go(self, command: str) -> None:
        """Run one command as it is written."""
        words = shlex.split(command)
        if words[:2] == ["kubectl", "port-forward"]:
            self.said[command] = self._forward(words)
        else:
            self.said[command] = self.site.run(*words)

    def told(self, start: str) -> str:
        """Give what the one command that begins so has said."""
        (found,) = (text for command, text in self.said.items() if command.startswith(start))
        return found

    def close(self) -> None:
        """End what runs on."""
        for each in self._forwards:
            each.kill()
            each.communicate()

    def _forward(self, words: list[str]) -> str:
        process = self.site.start(self.site.owner, *words)
        self._forwards.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Forwarding from 127.0.0.1:"), line
        return line


@pytest.fixture(scope="module")
def walk() -> Iterator[Walk]:
    """The guide as far as its section on upgrades."""
    folder = Path(tempfile.mkdtemp(prefix="sf-"))
    folder.chmod(0o755)
    found = Walk(InstalledRelease(folder))
    try:
        for command in commands():
            if command.startswith(UPGRADE):
                break
            try:
                found.go(command)
            except (AssertionError, HelmError) as error:
                logs = [f"{pod.name}: {pod.logs()[-3000:]}" for pod in found.site.node.all()]
                pytest.fail("\n".join([str(error), *logs]))
        yield found
    finally:
        found.close()
        found.site.close()
        shutil.rmtree(folder)


@pytest.fixture
def site(walk: Walk) -> InstalledRelease:
    """The release that the walk has made."""
    return walk.site


def test_the_walk(walk: Walk) -> None:
    """Flink's pods serve the benchmark's images, and every command says what the guide says."""
    assert "SIMULATED TEE" in walk.told("helm install")
    served = SERVED.search(walk.told("helm test"))
    assert served is not None
    assert served[1] == "1000"
    assert "gateway" in walk.told("sealflow status")
    assert "RUNNING" in walk.told("sealflow flink status")
    assert loaded_models(walk.site) == 1


def page(site: InstalledRelease, *options: str) -> str:
    """Fetch the web UI's first page on the owner's machine; empty when it is refused."""
    words = ("curl", "--silent", "--cacert", "keys/keys/submit/ca.crt", *options)
    return finish(site.start(site.owner, *words, f"https://localhost:{WEB_UI}/"))


def test_the_web_ui(site: InstalledRelease, walk: Walk) -> None:
    """It answers on 8081 through its Service, to who has the certificate, and to no neighbour."""
    assert f"-> {WEB_UI}" in walk.said[f"kubectl port-forward service/{RELEASE}-jobmanager 8081"]
    own = ("--cert", "keys/keys/submit/tls.crt", "--key", "keys/keys/submit/tls.key")
    assert "Apache Flink Web Dashboard" in page(site, *own)
    assert page(site) == ""
    service = site.node.hosts()[f"{RELEASE}-jobmanager"]
    assert not can_reach(site.owner, service, WEB_UI)
    names = ("name", "instance", "component")
    labels = zip(names, ("sealflow", RELEASE, "taskmanager"), strict=True)
    worker = site.guest({f"app.kubernetes.io/{name}": value for name, value in labels})
    await_true(lambda: can_reach(worker, service, WEB_UI))


def test_a_taskmanager_killed_under_load(site: InstalledRelease) -> None:
    """Its pod comes back, its subtask goes on, and every answer comes."""
    load = site.sealflow(site.owner, *BENCH, "-n200", "--rate=8")
    (pod,) = site.node.pods("taskmanager")
    time.sleep(3)
    assert load.poll() is None, "the load ended before the kill"
    site.kill(pod)
    await_true(lambda: pod.restarts == 1 and pod.ready)
    said = finish(load)
    assert SERVED.search(said), said


def test_an_upgrade_under_load(site: InstalledRelease) -> None:
    """A second TaskManager, and with it a new job in a new JobManager: no request is lost."""
    (before,) = site.node.pods("jobmanager")
    load = site.sealflow(site.owner, *BENCH, "-n400", "--rate=8")
    upgrade = ("deploy/chart", "--wait", "--reuse-values", "--set", "taskmanager.replicas=2")
    site.helm("upgrade", *upgrade)
    (after,) = site.node.pods("jobmanager")
    assert after.name != before.name
    assert len(site.node.pods("taskmanager")) == 2
    said = finish(load)
    assert SERVED.search(said), said
    await_true(lambda: loaded_models(site) == 2)


@pytest.mark.parametrize(
    ("secret", "key", "reason"),
    [
        ("engine-password", "broker", "ConfigError: the broker refuses this user: "),
        ("taskmanager-password", "keystore", "keystore.p12 does not open with the password in "),
    ],
)
def test_a_wrong_secret(site: InstalledRelease, secret: str, key: str, reason: str) -> None:
    """A TaskManager whose Secret is wrong says why, and comes back when it is right again."""
    pods = site.node.pods("taskmanager")
    pod = pods[0]
    before = len(pod.logs())
    with spoil_request(site, f"{RELEASE}-{secret}", key, "wrong"):
        site.kill(pod)
        await_true(lambda: reason in pod.logs()[before:])
    replace_pod(site, pod)
    await_true(lambda: loaded_models(site) == len(pods))


def test_the_rest_of_the_walk(walk: Walk) -> None:
    """Upgrade, roll back and remove as written; Secrets and the benchmark's pod alone stay."""
    names = [command.startswith(UPGRADE) for command in commands()]
    for command in commands()[names.index(True) :]:
        walk.go(command)
    benchmark = f"{RELEASE}-benchmark"
    await_true(lambda: [pod.name for pod in walk.site.node.all()] == [benchmark])
    store = walk.site.store
    assert store.all(BY_NAME["Deployment"], NAMESPACE) == []
    assert store.all(BY_NAME["Secret"], NAMESPACE) != []
    assert set(walk.said) == set(commands())
