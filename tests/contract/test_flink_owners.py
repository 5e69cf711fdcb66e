"""Two owners under Flink: each subtask serves both, in processes of their own."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from tests.support.cluster.engines import ENGINES
from tests.support.cluster.flink import installed_flink
from tests.support.cluster.two_owners import ROW, TwoOwners
from tests.support.models import onnx_models

# JVMs start slowly on a machine that does much else.
pytestmark = pytest.mark.timeout(400)


def test_owners_of_subtasks() -> None:
    """Both owners are served; what ends the processes of one leaves the other's."""
    installed_flink()
    with TwoOwners(*ENGINES["flink"], workers=0) as owners:
        owners.publish(onnx_models.elementwise("Neg", sizes=(None, 4)), "good")
        owners.await_models(owners.second, "good")
        for _ in range(20):
            assert owners.ask().outputs
            result = owners.client.infer("good", tensors={"x": ROW}, timeout_s=60)
            np.testing.assert_array_equal(result.outputs["y"], -ROW)
        first = {worker["pid"] for worker in owners.workers(owners.first)}
        for worker in owners.workers(owners.second):
            os.kill(worker["pid"], signal.SIGKILL)
        for _ in range(20):
            assert owners.ask().outputs
        result = owners.client.infer("good", tensors={"x": ROW}, timeout_s=60)
        np.testing.assert_array_equal(result.outputs["y"], -ROW)
        assert {worker["pid"] for worker in owners.workers(owners.first)} == first
        assert owners.quarantined() == {}
