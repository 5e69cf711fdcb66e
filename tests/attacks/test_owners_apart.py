"""Attacks of one owner's models on another's: rows 86 to 91 of docs/threat-model.md."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sealflow.errors import ModelError, RefusalCode, SealflowError
from sealflow.openinfer.tensor import DataType
from sealflow.owner import load_owner_key
from sealflow.trusted.worker.models.work_limit import MAX_STEP_MS
from tests.support.cluster.local_cluster import sealflow
from tests.support.cluster.two_owners import ROW, TwoOwners
from tests.support.hosts.process_memory import find_in_memory
from tests.support.models import onnx_models
from tests.support.models.served_models import ANY, onnx_manifest, tensor_specs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.enclaves.hosted_enclaves import HostedEnclaves, HostedWorker


pytestmark = pytest.mark.usefixtures("long")


@pytest.fixture(scope="module")
def owners() -> Iterator[TwoOwners]:
    """A cluster of two owners; the second one's model `good` is served, too."""
    with TwoOwners() as running:
        running.publish(onnx_models.elementwise("Neg", sizes=(None, 4)), "good")
        running.await_models(running.second, "good")
        yield running


def ask_until(owners: TwoOwners, happened: Callable[[], bool]) -> None:
    """Ask the first owner's model, which must answer, until something is so."""
    pids = [worker["pid"] for worker in owners.workers(owners.first)]
    while not happened():
        assert owners.ask(timeout_s=20).outputs
    assert [worker["pid"] for worker in owners.workers(owners.first)] == pids
    for _ in range(20):
        assert owners.ask(timeout_s=20).outputs


def advance(worker: HostedWorker, site: HostedEnclaves, seconds: int) -> None:
    """Have a worker's host tick for some time, as it does every few seconds."""
    with suppress(BrokenPipeError):
        for _ in range(-(-1000 * seconds // MAX_STEP_MS)):
            site.pass_time(MAX_STEP_MS)
            worker.tick()


def test_86_endless_warm_up(owners: TwoOwners) -> None:
    """A loop that never ends when it is loaded is stopped, and set aside; others go on."""
    with owners.published(onnx_models.endless(), "endless") as digest:
        ask_until(owners, lambda: digest in owners.quarantined())
        assert owners.quarantined()[digest]["failures"] >= 3
    result = owners.client.infer("good", tensors={"x": ROW}, timeout_s=60)
    np.testing.assert_array_equal(result.outputs["y"], -ROW)


def test_86_endless_run(owners: TwoOwners) -> None:
    """A loop that begins with a request is stopped; who asked is told, and others go on."""
    inputs, outputs = ANY
    told: list[SealflowError] = []
    endless = onnx_models.endless(sizes=(None, None))
    with owners.published(endless, "asked", inputs=inputs, outputs=outputs) as digest:

        def ask_it() -> None:
            while digest not in owners.quarantined():
                with pytest.raises(SealflowError) as caught:
                    owners.client.infer("asked", tensors={"x": ROW}, timeout_s=20)
                told.append(caught.value)

        owners.await_models(owners.second, "good", "asked")
        asking = threading.Thread(target=ask_it)
        asking.start()
        ask_until(owners, lambda: not asking.is_alive())
    assert isinstance(told[0], ModelError)
    assert "the run was stopped after 2 s" in str(told[0])


def test_86_lease(site: HostedEnclaves) -> None:
    """A worker renews its lease, and serves what it has, while a load does not end."""
    worker = site.start_worker(load_s=3600)
    worker.await_models(1, enrolled=False)
    site.publish_model(onnx_manifest("endless"), onnx_models.endless())
    worker.tick()
    worker.await_event("model_loading")
    advance(worker, site, site.made.deployment.lease_s // 2)
    worker.await_event("enrolled")
    assert worker.refusals(site.call().envelope) == [None]


def test_86_no_stop(site: HostedEnclaves) -> None:
    """A worker whose runtime does not stop a run ends itself."""
    site.publish_model(onnx_manifest("endless", max_batch=1), onnx_models.endless(sizes=(1, 4)))
    worker = site.start_worker(runtime="openvino", load_s=1)
    worker.await_event("model_loading")
    worker.await_event("model_loading")
    advance(worker, site, 40)
    assert worker.await_fatal() == "hung"


def test_87_abort(owners: TwoOwners) -> None:
    """A model that ends its process, at load or at a request, ends no other owner's."""
    with owners.published(onnx_models.aborting(), "at-load") as at_load:
        ask_until(owners, lambda: at_load in owners.quarantined())
    with owners.published(onnx_models.aborting(at=1), "at-run") as at_run:

        def ask_it() -> None:
            while at_run not in owners.quarantined():
                with pytest.raises(SealflowError):
                    owners.client.infer("at-run", tensors={"x": np.ones_like(ROW)}, timeout_s=60)

        owners.await_models(owners.second, "good", "at-run")
        asking = threading.Thread(target=ask_it)
        asking.start()
        ask_until(owners, lambda: not asking.is_alive())
    result = owners.client.infer("good", tensors={"x": ROW}, timeout_s=60)
    np.testing.assert_array_equal(result.outputs["y"], -ROW)


def test_88_memory(owners: TwoOwners) -> None:
    """A model that takes all memory gets no more than its process may have."""
    specs = {"inputs": ANY[0], "outputs": tensor_specs(y=(DataType.FP32, [1, 1])), "max_batch": 1}
    with owners.published(onnx_models.hoarding(), "hoard", **specs):
        owners.await_models(owners.second, "good", "hoard")
        with pytest.raises(ModelError):
            owners.client.infer("hoard", tensors={"x": np.ones((1, 1), np.float32)}, timeout_s=60)
        ask_until(owners, lambda: True)


def test_89_slow_load(owners: TwoOwners) -> None:
    """A load that takes too long is stopped; others go on meanwhile."""
    with owners.published(onnx_models.slow_to_load(products=10_000), "slow") as digest:
        ask_until(owners, lambda: digest in owners.quarantined())


def test_90_another_owners_models(owners: TwoOwners) -> None:
    """No process ever holds the content key of another owner's model."""
    keys = owners.content_keys
    digests = {
        model["name"]: worker["serves"]
        for owner in (owners.first, owners.second)
        for worker in owners.workers(owner)
        for model in worker["models"]
    }
    assert digests["tiny"] == owners.first.signer
    assert digests["good"] == owners.second.signer
    needles = {"its code": b"sealflow.trusted.worker", **keys}
    for worker in owners.workers(owners.first):
        assert find_in_memory(worker["pid"], needles) == {"its code"}


def test_90_wrong_route(site: HostedEnclaves) -> None:
    """A worker for another owner, or for none, refuses requests that a host gives it."""
    for serves in ("ab" * 32, None):
        worker = site.start_worker(serves=serves)
        worker.await_event("enrolled")
        assert worker.refusals(site.call().envelope) == [RefusalCode.UNKNOWN_MODEL]


def test_90_two_owners_for_one_process(site: HostedEnclaves) -> None:
    """A host cannot have a worker serve a second owner."""
    worker = site.worker()
    worker.serve_owner(bytes(32))
    assert worker.await_fatal() == "frame"
    late = site.start_worker(serves=None)
    late.await_event("enrolled")
    late.serve_owner(bytes.fromhex(site.made.owner.signer))
    late.await_models(1)
    assert late.refusals(site.call().envelope) == [None]


def test_91_release(owners: TwoOwners) -> None:
    """What is set aside is refused at once and shown; a command has it tried again."""
    home = ("--home", str(owners.cluster.home))

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            sealflow(*words, *home), capture_output=True, text=True, check=False, timeout=60
        )

    with owners.published(onnx_models.aborting(), "again", version="2") as digest:
        ask_until(owners, lambda: digest in owners.quarantined())
        assert digest in run("status").stdout
        assert digest in run("release", digest).stdout
        owners.cluster.await_status(lambda _: digest not in owners.quarantined())
    unknown = run("release", "ab" * 32)
    assert (unknown.returncode, "no failures of" in unknown.stderr) == (2, True)


def test_91_killed_from_outside(owners: TwoOwners) -> None:
    """A process that its operator or the kernel kills is no model's fault."""
    key = load_owner_key(owners.cluster.home / "owner.key")
    before = owners.quarantined()
    for _ in range(3):
        [worker] = owners.workers(key)
        os.kill(worker["pid"], signal.SIGKILL)
        owners.cluster.await_status(
            lambda _, pid=worker["pid"]: any(
                each["ready"] and each["pid"] != pid for each in owners.workers(key)
            )
        )
        assert owners.ask().outputs
    assert owners.quarantined().keys() <= before.keys()
