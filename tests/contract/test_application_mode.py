"""A JobManager that starts the job by itself: alone, and as one of two of the chart's."""

from __future__ import annotations

import signal
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest

from sealflow.host.engine.flink.rest import FlinkRest
from sealflow.local.flink_cluster import FlinkCluster, FlinkKeys, client_tls
from sealflow.local.supervisor import Supervisor
from tests.support.chart.flink_pods import FlinkPods
from tests.support.chart.rendering import NAMESPACE, Object, Release, render
from tests.support.cluster.engines import EngineCluster, await_ended, free_port
from tests.support.cluster.flink import installed_flink
from tests.support.kubernetes.node.controllers import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

# JVMs start slowly on a machine that does much else.
pytestmark = pytest.mark.timeout(400)


def named_engine(flink: EngineCluster, folder: Path, name: str) -> Path:
    """Give a file of the engine's settings under another name."""
    settings = (flink.cluster.home / "run" / "engine.toml").read_text()
    path = folder / "engine.toml"
    path.write_text(settings.replace('instance = "flink"', f'instance = "{name}"'))
    return path


def await_serving(flink: EngineCluster, name: str) -> None:
    """Wait until the worker of a named engine is ready."""

    def ready(status: dict[str, Any]) -> bool:
        parts = status["components"]
        (engine,) = (each for each in parts if each.get("instance") == f"{name}-0")
        return bool(engine["workers"] and engine["workers"][0]["ready"])

    flink.cluster.await_status(ready, 150)


def rendered(folder: Path, **values: Object) -> list[Object]:
    """Give the chart's objects, of the preset for high availability."""
    return render(Release(presets=("nonsgx", "ha"), values=values), folder)


def test_alone(flink: EngineCluster, tmp_path: Path) -> None:
    """It ends with its job, as do all processes."""
    home, cluster, install = flink.cluster.home, Supervisor(), installed_flink()
    engine, job = named_engine(flink, tmp_path, "alone"), tmp_path / "job.toml"
    job.write_text(f'engine_config = "{engine}"\npython = "{install.python}"\n')
    rest_port, rpc_port = (free_port() for _ in range(2))
    own = FlinkCluster(install, tmp_path / "flink", rpc_port=rpc_port, rest_port=rest_port)
    own.write(FlinkKeys(home / "flink" / "keys").cluster)
    cluster.start_process(own.application(job, tmp_path / "jobmanager.log"))
    cluster.start_process(own.taskmanager(0, tmp_path / "taskmanager.log"))
    try:
        await_serving(flink, "alone")
        subtask = psutil.Process(cluster.pid("taskmanager-0")).children(recursive=True)
        tls = client_tls(Path(flink.cluster.facts["flink"]["tls"]))
        rest = FlinkRest(f"https://127.0.0.1:{rest_port}", tls)
        (running,) = rest.jobs()
        assert (running["name"], running["state"]) == ("sealflow", "RUNNING")
        rest.cancel(running["jid"])
        assert psutil.Process(cluster.pid("jobmanager")).wait(60) == 0
        await_ended([process.pid for process in subtask])
    finally:
        for name in cluster.names():
            cluster.stop_process(name, within_s=10)


@pytest.fixture(scope="module")
def pods(flink: EngineCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkPods]:
    """The chart's, of the preset for high availability, in place of the cluster's own job."""
    flink.flink("cancel")
    folder = tmp_path_factory.mktemp("ha")
    objects = rendered(folder)
    keys = flink.cluster.home / "flink" / "keys"
    running = FlinkPods(objects, folder, installed_flink(), keys, named_engine(flink, folder, "ha"))
    try:
        for component, name in (
            ("jobmanager", "jm-0"),
            ("jobmanager", "jm-1"),
            ("taskmanager", "tm-0"),
        ):
            running.start(component, name)
        await_serving(flink, "ha")
        yield running
    finally:
        running.close()
    flink.submit()
    flink.await_whole()


def test_a_standby_takes_over(flink: EngineCluster, pods: FlinkPods) -> None:
    """The leader is killed under load: the other goes on with its job, and no request is lost."""
    first, jobs = pods.leader(), pods.jobs()
    assert len(jobs) == 1
    flink.serve(2000, lambda: pods.delete(first, signal.SIGKILL))
    flink.await_true(lambda: pods.leader() not in {"", first})
    flink.await_true(lambda: pods.jobs() == jobs)
    flink.serve(100)


def test_other_settings_are_another_job(
    flink: EngineCluster, pods: FlinkPods, tmp_path: Path
) -> None:
    """After an upgrade the new leader does not go on with the job of before."""
    before, jobs = pods.leader(), pods.jobs()
    pods.take_settings(rendered(tmp_path, taskmanager={"replicas": 2}))
    pods.start("jobmanager", "jm-2")
    pods.delete(before, signal.SIGTERM)
    flink.await_true(lambda: pods.leader() == "jm-2")
    flink.await_true(lambda: bool(pods.jobs() - jobs))
    flink.serve(100)


def test_accounts_may_do_what_they_need(pods: FlinkPods) -> None:
    """JobManagers keep ConfigMaps; a TaskManager reads them, and changes none."""
    assert pods.api.access.refused == []
    (name, *_) = (
        each["metadata"]["name"] for each in pods.store.all(BY_NAME["ConfigMap"], NAMESPACE)
    )
    address = f"{pods.api.url}/api/v1/namespaces/{NAMESPACE}/configmaps/{name}"
    trust = ssl.create_default_context(cafile=pods.root)

    def ask(component: str, method: str) -> int:
        headers = {"Authorization": f"Bearer {pods.token(component)}"}
        request = Request(address, b"{}", headers, method=method)  # noqa: S310
        request.add_header("Content-Type", "application/merge-patch+json")
        try:
            with urlopen(request, context=trust, timeout=10) as answer:  # noqa: S310
                return int(answer.status)
        except HTTPError as error:
            return error.code

    assert ask("jobmanager", "PATCH") == 200
    assert ask("taskmanager", "GET") == 200
    assert ask("taskmanager", "PATCH") == 403
    assert ask("taskmanager", "DELETE") == 403
