"""Both clients of a gateway: answers, also to many requests, and errors that help."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sealflow.errors import InvalidInputError, ModelError
from sealflow.owner import InferResult
from tests.support.cluster.gateway_clients import ROW, GatewayClient
from tests.support.cluster.scripted_service import ScriptedService, failing, negated, now_ms


def test_an_answer(asker: GatewayClient, service: ScriptedService) -> None:
    """The result is the worker's, says which model made it, and that it was a simulation."""
    result = asker.infer()
    np.testing.assert_array_equal(result.outputs["y"], -ROW)
    assert str(result.model) == "m:1"
    assert result.model_digest == service.directory.models[0].digest
    assert result.simulated
    assert "SIMULATED" in repr(result)
    assert result.request_id == service.asked[0].request_id


def test_many(asker: GatewayClient, service: ScriptedService) -> None:
    """Each of many requests gets its own answer; one that fails does not end the others."""
    service.script = [negated, failing("model_failed", "too hot"), negated]
    rows = [ROW * number for number in range(6)]
    found = asker.many(rows, concurrency=1)
    assert sorted(found) == list(range(6))
    assert isinstance(found[1], ModelError)
    for index in (0, 2, 3, 4, 5):
        value = found[index]
        assert isinstance(value, InferResult)
        np.testing.assert_array_equal(value.outputs["y"], -rows[index])


def test_many_at_a_time(asker: GatewayClient, service: ScriptedService) -> None:
    """Answers that come in any order are told apart."""
    rows = [ROW * number for number in range(20)]
    found = asker.many(rows, concurrency=8)
    for index, value in found.items():
        assert isinstance(value, InferResult)
        np.testing.assert_array_equal(value.outputs["y"], -rows[index])
    assert len(found) == 20


def test_sealed_errors(asker: GatewayClient, service: ScriptedService) -> None:
    """What a worker says inside the seal is raised, with its words, and not tried again."""
    service.script = [failing("invalid_input", "x has 5 columns, not 4")]
    with pytest.raises(InvalidInputError, match="x has 5 columns, not 4"):
        asker.infer()
    service.script = [failing("out_of_memory", "no room")]
    with pytest.raises(ModelError, match="no room") as caught:
        asker.infer()
    assert caught.value.code == "model_failed"
    assert len(service.seen) == 2


def test_deadline_goes_along(asker: GatewayClient, service: ScriptedService) -> None:
    """Workers learn how long the client waits, so that nobody works for those who left."""
    asker.infer(timeout_s=7)
    left_ms = service.asked[0].deadline_ms - now_ms()
    assert 0 < left_ms <= 7000


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (np.zeros((1, 5), np.float32), r"\[1, 5\]"),
        (np.full((1, 4), 2**24 + 1), r"16777217 at \[0, 0\] is not a value of FP32"),
        ([["a", "b", "c", "d"]], r"tensor x: 'a' at \[0, 0\]"),
        ([[1, 2], [3]], "tensor x: "),
    ],
)
def test_wrong_input(asker: GatewayClient, service: ScriptedService, rows: Any, says: str) -> None:
    """What cannot fit the model is said here, and never sent."""
    with pytest.raises(InvalidInputError, match=says):
        asker.infer(rows)
    assert service.seen == []
