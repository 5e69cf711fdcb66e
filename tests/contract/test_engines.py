"""The contract of engines, local and Flink: whatever dies, each request is answered once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from sealflow.errors import ConfigError, UnavailableError
from sealflow.host.engine.flink.rest import FlinkRest
from sealflow.local.flink_cluster import client_tls
from sealflow.owner import BrokerAddress
from sealflow.owner.queue.transport import StreamTransport
from tests.support.cluster.engines import EngineCluster, await_ended
from tests.support.cluster.flink import installed_flink

# JVMs start slowly on a machine that does much else.
pytestmark = pytest.mark.timeout(400)


def _kill(pids: list[int], number: int = signal.SIGKILL) -> None:
    for pid in pids:
        os.kill(pid, number)


def test_each_request_is_answered_once(engine: EngineCluster) -> None:
    """Many requests come back right, and both workers had a share."""
    before = {worker["pid"]: worker["served"] for worker in engine.workers()}
    engine.serve(1000)
    engine.cluster.await_status(
        lambda _: all(each["served"] > before[each["pid"]] for each in engine.workers())
    )


def test_workers_killed(engine: EngineCluster) -> None:
    """Requests in work go to new workers, and the restarts are counted."""
    before = engine.cluster.worker_pids()
    engine.serve(1500, lambda: _kill(before))
    engine.await_whole()
    assert not set(before) & set(engine.cluster.worker_pids())
    assert all(worker["restarts"] >= 1 for worker in engine.workers())


def test_the_supervising_process_killed(engine: EngineCluster) -> None:
    """Its worker ends with it, and what it owed is answered by its successor."""
    supervisor, *_ = engine.supervisors()
    orphans = [child.pid for child in psutil.Process(supervisor).children(recursive=True)]
    assert orphans
    engine.serve(1500, lambda: _kill([supervisor]))
    await_ended([supervisor, *orphans])
    engine.await_whole()


def test_refusals_are_counted(engine: EngineCluster) -> None:
    """An envelope that is none is refused by a worker, which the status says."""
    before = sum(worker["refused"] for worker in engine.workers())
    transport = StreamTransport(BrokerAddress(url=engine.cluster.facts["broker_url"]), "sealflow")
    transport.submit([(f"{n:032x}", b"garbage") for n in range(8)], capacity=4096)
    transport.close()
    engine.cluster.await_status(
        lambda _: sum(worker["refused"] for worker in engine.workers()) == before + 8
    )


def test_a_paused_worker_is_waited_for(engine: EngineCluster) -> None:
    """A worker that stands still for a while keeps what it was given, and loses nothing."""
    (worker, *_) = engine.cluster.worker_pids()
    _kill([worker], signal.SIGSTOP)

    def resume() -> None:
        engine.cluster.await_status(lambda status: status["queue"]["in_work"] > 0)
        _kill([worker], signal.SIGCONT)

    engine.serve(1000, resume)


def test_metrics_of_subtasks(flink: EngineCluster) -> None:
    """Flink's REST interface gives each subtask's figures; requests add up to what was sent."""
    flink.await_whole()
    rest, job = flink.rest(), flink.running_job()

    def requests() -> int:
        return sum(each.get("requests", 0) for each in rest.metrics(job, 10))

    flink.await_true(lambda: requests() == sum(worker["served"] for worker in flink.workers()))
    before = requests()
    flink.serve(200)
    flink.await_true(lambda: requests() == before + 200)
    (one, two) = rest.metrics(job)
    assert one.keys() == two.keys() == {
        "requests", "refusals", "worker_restarts", "worker_ready", "queue_lag", "in_flight",
        "quarantined_models",
        "batch_size_p50", "batch_size_p99", "round_trip_ms_p50", "round_trip_ms_p99",
    }  # fmt: skip
    assert one["worker_ready"] == two["worker_ready"] == 1
    assert max(one["batch_size_p99"], two["batch_size_p99"]) > 1
    shown = json.loads(flink.flink("status", "--json"))
    assert shown["overview"]["taskmanagers"] == 2
    assert "RUNNING" in flink.flink("status")


def test_rest_wants_a_certificate(flink: EngineCluster) -> None:
    """Without the cluster's certificate nobody gets an answer, not even the web UI's page."""
    url = flink.cluster.facts["flink"]["url"]
    tls = client_tls(Path(flink.cluster.facts["flink"]["tls"]))
    assert flink.rest().overview()["flink-version"].startswith("2.3")
    with pytest.raises(ConfigError, match="certificate"):
        FlinkRest(url, None)
    probe = (
        "import ssl, sys, urllib.request as r\n"
        "context = ssl.create_default_context(cafile=sys.argv[2])\n"
        "r.urlopen(sys.argv[1], context=context, timeout=20)\n"
    )
    done = subprocess.run(
        (sys.executable, "-c", probe, url, str(tls.ca)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "certificate" in done.stderr.lower(), done.stderr
    with pytest.raises(UnavailableError):
        FlinkRest(url.replace("https", "http"), None).overview()


def test_stopping_answers_what_is_in_work(flink: EngineCluster) -> None:
    """Stop with a savepoint in the middle: all processes of the job end; the next job goes on."""
    flink.await_whole()
    pids = [*flink.supervisors(), *flink.cluster.worker_pids()]

    def stop() -> None:
        assert flink.flink("stop").endswith(" FINISHED")
        await_ended(pids)
        assert flink.cluster.status()["queue"]["in_work"] == 0
        flink.submit()

    flink.serve(1500, stop)
    flink.await_whole()


def test_cancelling_with_workers_that_hang(flink: EngineCluster, tmp_path: Path) -> None:
    """No process is left, although the workers stand still; an engine that cannot serve says why.

    The next job answers what was in work.
    """
    flink.await_whole()
    pids = [*flink.supervisors(), *flink.cluster.worker_pids()]

    def cancel() -> None:
        _kill(flink.cluster.worker_pids(), signal.SIGSTOP)
        assert flink.flink("cancel").endswith(" CANCELED")
        await_ended(pids)
        flink.submit()

    flink.serve(1500, cancel)
    flink.await_whole()


def test_a_taskmanager_killed(flink: EngineCluster) -> None:
    """Its subtask and worker end; a new TaskManager takes the subtask; all is answered."""
    pid = flink.cluster.pids("TaskManagerRunner")[0]
    children = [child.pid for child in psutil.Process(pid).children(recursive=True)]
    assert len(children) >= 3
    flink.serve(1500, lambda: _kill([pid]))
    await_ended([pid, *children])
    flink.await_whole()


def test_the_jobmanager_killed(flink: EngineCluster) -> None:
    """A new JobManager is given the job again; all is answered and nothing is left over."""
    (pid,) = flink.cluster.pids("StandaloneSessionClusterEntrypoint")
    before = [*flink.supervisors(), *flink.cluster.worker_pids()]
    flink.serve(1500, lambda: _kill([pid]))
    await_ended(before, 60)
    flink.await_whole()
    assert flink.rest().job(flink.running_job())["state"] == "RUNNING"


def test_an_engine_that_cannot_serve_says_why(flink: EngineCluster, tmp_path: Path) -> None:
    """Workers that no policy accepts end the job's attempt, and Flink shows the reason."""
    flink.await_whole()
    assert flink.flink("cancel").endswith(" CANCELED")
    home = flink.cluster.home
    deployment = json.loads((home / "deployment.json").read_text())
    deployment["worker"]["measurements"] = ["00" * 32]
    changed = tmp_path / "deployment.json"
    changed.write_text(json.dumps(deployment, sort_keys=True, separators=(",", ":")))
    engine, job = tmp_path / "engine.toml", tmp_path / "job.toml"
    settings = (home / "run" / "engine.toml").read_text()
    engine.write_text(settings.replace(str(home / "deployment.json"), str(changed)))
    job_settings = (home / "run" / "job.toml").read_text()
    job.write_text(job_settings.replace(str(home / "run" / "engine.toml"), str(engine)))
    hopeless, rest = flink.flink("submit", str(job)), flink.rest()
    said = "the key broker does not pass the policy in deployment_file"
    flink.await_true(lambda: said in rest.failure(hopeless), 60)
    rest.cancel(hopeless)
    assert rest.await_end(hopeless, 30) == "CANCELED"
    flink.submit()
    flink.await_whole()


def test_flinks_environment_opens_nothing() -> None:
    """The job's code can be imported there; what opens sealed messages is not there at all."""
    probe = (
        "import importlib.util as u, sealflow.host.engine.flink.job\n"
        "names = ('sealflow.seal', 'sealflow.attest', 'sealflow.openinfer', 'sealflow.owner',"
        " 'sealflow.package', 'sealflow.documents',"
        " 'sealflow.trusted', 'cryptography', 'onnxruntime', 'simplejpeg')\n"
        "print([name for name in names if u.find_spec(name)])"
    )
    done = subprocess.run(
        (installed_flink().python, "-c", probe),
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    assert done.stdout.strip() == "[]"


def test_no_orphans_when_the_start_is_killed(engine: EngineCluster) -> None:
    """`kill -9` of `sealflow up` takes all processes along, JVMs too. Must be the last test."""
    pids = engine.cluster.all_pids()
    assert len(pids) >= 6
    engine.cluster.kill()
    await_ended(pids)
