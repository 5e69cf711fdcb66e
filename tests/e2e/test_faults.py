"""Processes that die, queues that fill, brokers that go away: nothing hangs, nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

from sealflow.errors import SealflowError
from sealflow.owner import InferResult, load_policy
from sealflow.owner.client.request import request_parts
from sealflow.owner.trust.session import ServiceSession
from sealflow.wire.envelope import MEDIA_TYPE
from tests.support.cluster.local_cluster import LITE0, PHOTOS, TINY, LocalCluster, sealflow

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MODEL = "efficientnet-lite0"
PHOTO = (PHOTOS / "coffee.jpg").read_bytes()
ESPRESSO = 967


def _push_and_pull(
    cluster: LocalCluster, count: int, meanwhile: Callable[[int], None]
) -> dict[str, Any]:
    """Queue photos, take all outcomes; `meanwhile` is told how many came so far."""
    outcomes: dict[str, Any] = {}
    with cluster.queue() as queue:
        queue.enqueue_many(MODEL, {str(n): PHOTO for n in range(count)}, top_k=1, timeout_s=100)
        while len(outcomes) < count:
            found = queue.dequeue(timeout_s=100)
            assert found, f"only {len(outcomes)} of {count} came"
            assert not outcomes.keys() & found.keys()
            outcomes |= found
            meanwhile(len(outcomes))
    return outcomes


def _all_right(outcomes: dict[str, Any]) -> bool:
    return all(
        isinstance(each, InferResult) and each.top[0].index == ESPRESSO
        for each in outcomes.values()
    )


class _Once:
    """Calls something once, when enough outcomes have come."""

    def __init__(self, after: int, action: Callable[[], None]) -> None:
        self._after = after
        self._action: Callable[[], None] | None = action

    def __call__(self, count: int) -> None:
        if self._action is not None and count >= self._after:
            action, self._action = self._action, None
            action()


def _ready(status: dict[str, Any]) -> bool:
    workers = [each for part in status["components"] for each in part.get("workers", ())]
    return bool(status["ready"] and workers and all(len(each["models"]) == 2 for each in workers))


@pytest.fixture(scope="module")
def cluster() -> Any:
    """A cluster for these tests alone, as they break it."""
    with LocalCluster(TINY, LITE0) as running:
        yield running


@pytest.fixture(autouse=True)
def _whole_again(cluster: LocalCluster) -> Any:
    """Before and after each test all parts run and serve."""
    yield
    cluster.await_status(_ready)
    with cluster.client() as client:
        assert client.infer(MODEL, image=PHOTO, top_k=1).top[0].index == ESPRESSO


def _kill(pids: list[int]) -> None:
    _signal(pids, signal.SIGKILL)


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)


def test_workers_killed_in_mid_batch(cluster: LocalCluster) -> None:
    """Every request is answered right, once, although all workers die in the middle."""
    kill = _Once(20, lambda: _kill(cluster.worker_pids()))
    assert _all_right(_push_and_pull(cluster, 150, kill))


def test_a_worker_killed_again_and_again(cluster: LocalCluster) -> None:
    """Requests that only happened to be there when a worker died are not set aside."""
    for after in (5, 5):
        kill = _Once(after, lambda: _kill(cluster.worker_pids()[:1]))
        assert _all_right(_push_and_pull(cluster, 60, kill))


def test_the_broker_gone_and_back(cluster: LocalCluster) -> None:
    """A killed broker comes back with what it held; the clients only wait."""
    kill = _Once(20, lambda: _kill(cluster.pids("valkey-server") or cluster.pids("redis-server")))
    assert _all_right(_push_and_pull(cluster, 150, kill))


def test_the_broker_gone_while_clients_use_the_gateway(cluster: LocalCluster) -> None:
    """Requests through the gateway are retried until the broker is there again."""
    with cluster.client() as client, ThreadPoolExecutor(8) as pool:
        first = [pool.submit(client.infer, MODEL, image=PHOTO, timeout_s=60) for _ in range(8)]
        _kill(cluster.pids("valkey-server") or cluster.pids("redis-server"))
        more = [pool.submit(client.infer, MODEL, image=PHOTO, timeout_s=60) for _ in range(24)]
        results = [future.result() for future in (*first, *more)]
    assert all(result.top[0].index == ESPRESSO for result in results)


def test_the_gateway_killed(cluster: LocalCluster) -> None:
    """It is started again, and clients come through."""
    _kill(cluster.pids("sealflow.host.gateway"))
    with cluster.client() as client:
        until = time.monotonic() + 30
        while True:
            try:
                assert client.infer("tiny", tensors={"x": [[1, 2, 3, 4]]}, timeout_s=10).tensors
                break
            except SealflowError:
                assert time.monotonic() < until
                time.sleep(0.2)


def test_the_key_broker_killed(cluster: LocalCluster) -> None:
    """A new key broker gets the models again; workers enroll anew; requests go on."""
    before = cluster.pids("sealflow.trusted.keybroker")
    _kill(before)
    with cluster.client() as client:
        old = client.verify().instance
        until = time.monotonic() + 60
        while True:
            report = client.verify()
            if report.instance != old and len(report.models) == 2:
                break
            assert time.monotonic() < until, "no new key broker with the models"
            time.sleep(0.2)
        result = client.infer(MODEL, image=PHOTO, timeout_s=60, top_k=1)
    assert result.top[0].index == ESPRESSO


def test_the_engine_killed(cluster: LocalCluster) -> None:
    """No worker outlives it; its successor takes over what it owed."""
    workers = cluster.worker_pids()
    kill = _Once(20, lambda: _kill(cluster.pids("sealflow.host.engine")))
    assert _all_right(_push_and_pull(cluster, 100, kill))
    assert not any(psutil.pid_exists(pid) and _alive(pid) for pid in workers)


def _alive(pid: int) -> bool:
    try:
        return str(psutil.Process(pid).status()) != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_full_queue(tmp_path: Path) -> None:
    """What does not fit gets 429 with Retry-After; what fits is answered when workers go on.

    One peer may take three quarters of the queue.
    """
    with LocalCluster(TINY, options=("--queue-capacity", "4", "--workers", "1")) as small:
        session = ServiceSession(load_policy(small.policy))
        session.accept(session.verify_directory(httpx.get(f"{small.url}/v1/directory").content))
        model = session.model("tiny")

        def post(_: int) -> httpx.Response:
            parts = request_parts(model, image=None, tensors={"x": [[1, 2, 3, 4]]}, top_k=None)
            call = session.seal_request(model, parts, timeout_s=60)
            headers = {"content-type": MEDIA_TYPE}
            url = f"{small.url}/v1/envelopes"
            return httpx.post(url, content=call.envelope, headers=headers, timeout=60)

        (worker,) = small.worker_pids()
        os.kill(worker, signal.SIGSTOP)
        with ThreadPoolExecutor(12) as pool:
            futures = [pool.submit(post, n) for n in range(12)]
            until = time.monotonic() + 30
            while sum(future.done() for future in futures) < 9:
                assert time.monotonic() < until
                time.sleep(0.05)
            os.kill(worker, signal.SIGCONT)
            answers = [future.result() for future in futures]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert len(refused) == 9
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        assert sum(answer.status_code == 200 for answer in answers) == 3


def test_ending_answers_what_is_in_work() -> None:
    """SIGTERM answers requests in flight and in the queue, then all processes end, with code 0."""
    cluster = LocalCluster(LITE0)
    pids = cluster.all_pids()
    workers = cluster.worker_pids()
    with cluster.client() as client, ThreadPoolExecutor(6) as pool:
        client.verify()
        _signal(workers, signal.SIGSTOP)
        futures = [
            pool.submit(client.infer, MODEL, image=PHOTO, timeout_s=30, top_k=1) for _ in range(6)
        ]
        cluster.await_status(
            lambda status: status["queue"]["waiting"] + status["queue"]["in_work"] == 6
        )
        cluster.process.send_signal(signal.SIGTERM)
        _signal(workers, signal.SIGCONT)
        results = [future.result() for future in futures]
    assert all(result.top[0].index == ESPRESSO for result in results)
    assert cluster.stop() == 0
    assert not any(_alive(pid) for pid in pids)


def test_no_orphans_when_the_start_is_killed() -> None:
    """`kill -9` of `sealflow up` takes every process along."""
    cluster = LocalCluster(TINY)
    pids = cluster.all_pids()
    assert len(pids) >= 6
    cluster.kill()
    until = time.monotonic() + 20
    while any(_alive(pid) for pid in pids):
        assert time.monotonic() < until, [psutil.Process(p).cmdline() for p in pids if _alive(p)]
        time.sleep(0.05)
    cluster.stop()


def test_what_cannot_start_says_why(tmp_path: Path) -> None:
    """A port in use, a model that is none, a broker that is not there: one line, and the end."""

    def up(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            sealflow("up", "--home", str(tmp_path / "home"), *arguments),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        return done.returncode, done.stderr

    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, says = up("--port", str(taken.getsockname()[1]))
        assert code == 2
        assert "cannot listen" in says
    broken = tmp_path / "broken.sealed"
    broken.write_bytes(b"nothing")
    code, says = up("--port", "0", "--model", str(broken))
    assert code != 0
    assert "package" in says
    code, says = up("--port", "0", "--broker-url", "http://localhost")
    assert code == 2
    assert "broker URL" in says


def test_an_engine_that_cannot_serve_ends(cluster: LocalCluster, tmp_path: Path) -> None:
    """Workers that no policy accepts do not stay up unready: the engine ends with the reason."""
    deployment = json.loads((cluster.home / "deployment.json").read_text())
    deployment["worker"]["measurements"] = ["00" * 32]
    changed = tmp_path / "deployment.json"
    changed.write_text(json.dumps(deployment, sort_keys=True, separators=(",", ":")))
    config = tmp_path / "engine.toml"
    config.write_text(
        f'deployment = "{deployment["deployment"]}"\nbroker_url = "{cluster.facts["broker_url"]}"\n'
        f'deployment_file = "{changed}"\npackages_dir = "{tmp_path}"\nworkers = 1\n'
        f'simulated_platform_file = "{cluster.home / "simulated-platform.json"}"\n'
    )
    done = subprocess.run(
        (cluster_python(), "-m", "sealflow.host.engine", str(config)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "key broker does not pass the policy" in done.stderr.splitlines()[-1]


def cluster_python() -> str:
    """The interpreter that runs the tests."""
    return sealflow()[0]
