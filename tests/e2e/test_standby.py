"""Two JobManagers in pods, which find the API server, and each other, by what the chart gives."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.chart.flink_election import leading_address, leading_session, running_jobs
from tests.support.chart.installed_release import InstalledRelease
from tests.support.chart.release_checks import (
    BENCH,
    SERVED,
    await_true,
    can_reach,
    finish,
    loaded_models,
    publish,
)
from tests.support.chart.rendering import HelmError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.kubernetes.api.store import Object
    from tests.support.kubernetes.node.pods import Pod

pytestmark = [pytest.mark.pods, pytest.mark.timeout(600)]

HA: Final = {
    "enabled": True,
    "storageDir": "file:///flink-ha",
    "existingClaim": "sealflow-flink-ha",
}
STANDBY: Final[Object] = {
    "flink": {"ha": HA},
    "jobmanager": {"replicas": 2},
    "gateway": {"replicas": 1},
}


@pytest.fixture(scope="module")
def site() -> Iterator[InstalledRelease]:
    """A release with a standby, and a published model that its worker has loaded."""
    folder = Path(tempfile.mkdtemp(prefix="sf-"))
    folder.chmod(0o755)
    found = InstalledRelease(folder)
    try:
        found.prepare()
        try:
            found.helm("install", release=found.values(STANDBY))
            publish(found)
            await_true(lambda: loaded_models(found) == 1, 120)
        except (AssertionError, HelmError) as error:
            logs = [f"{pod.name}: {pod.logs()[-3000:]}" for pod in found.node.all()]
            pytest.fail("\n".join([str(error), *logs]))
        yield found
    finally:
        found.close()
        shutil.rmtree(folder)


def leader(site: InstalledRelease) -> Pod:
    """Give the JobManager's pod that leads."""
    address = leading_address(site.store)
    (found,) = (pod for pod in site.node.pods("jobmanager") if pod.address == address)
    return found


def test_the_leader_killed_under_load(site: InstalledRelease) -> None:
    """Who leads next, the standby or the pod come back, goes on with its job; nothing is lost."""
    first, session, jobs = leader(site), leading_session(site.store), running_jobs(site.store)
    assert len(jobs) == 1
    load = site.sealflow(site.owner, *BENCH, "-n300", "--rate=8")
    time.sleep(3)
    assert load.poll() is None, "the load ended before the kill"
    site.kill(first)
    await_true(lambda: leading_session(site.store) not in {"", session}, 120)
    await_true(lambda: running_jobs(site.store) == jobs)
    said = finish(load)
    assert SERVED.search(said), said
    await_true(lambda: first.restarts == 1 and first.ready)
    await_true(lambda: loaded_models(site) == 1)


def test_an_upgrade_under_load(site: InstalledRelease) -> None:
    """A second TaskManager, so another job, in new JobManagers one by one: nothing is lost."""
    jobs = running_jobs(site.store)
    load = site.sealflow(site.owner, *BENCH, "-n600", "--rate=8")
    values: Object = {**STANDBY, "taskmanager": {"replicas": 2}}
    site.helm("upgrade", release=site.values(values))
    await_true(lambda: bool(running_jobs(site.store) - jobs), 120)
    said = finish(load)
    assert SERVED.search(said), said
    await_true(lambda: loaded_models(site) == 2, 120)


def test_only_flink_reaches_the_api_server(site: InstalledRelease) -> None:
    """Its Roles suffice; no other pod gets through to it."""
    assert site.inner.access.refused == []
    names = {"app.kubernetes.io/name": "sealflow", "app.kubernetes.io/instance": "demo"}
    host, port = site.inner.url.removeprefix("https://").split(":")
    guests = {
        component: site.guest({**names, "app.kubernetes.io/component": component})
        for component in ("jobmanager", "taskmanager", "gateway", "keybroker", "broker")
    }
    await_true(lambda: can_reach(guests["jobmanager"], host, int(port)))
    found = {component for component, guest in guests.items() if can_reach(guest, host, int(port))}
    assert found == {"jobmanager", "taskmanager"}
