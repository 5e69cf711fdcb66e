"""Batches: whoever comes together, everyone gets exactly its own rows."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealflow.errors import ModelError
from sealflow.openinfer.messages import InferRequest
from sealflow.openinfer.ndarray import from_numpy
from sealflow.openinfer.tensor import DataType
from sealflow.trusted.worker.serving.batching import BatchQueue, Job
from sealflow.trusted.worker.serving.runner import run_batch
from tests.support.models import onnx_models
from tests.support.models.served_models import (
    ANY,
    any_negation,
    load_model,
    make_loader,
    tensor_specs,
)
from tests.support.trusted.jobs import make_job, make_rows_job

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sealflow.trusted.worker.models.loader import ServedModel


def _waiting(*jobs: Job, max_wait_ms: int = 0) -> BatchQueue:
    waiting = BatchQueue(max_jobs=1000, max_bytes=2**30, max_wait_ms=max_wait_ms)
    for each in jobs:
        waiting.put(each)
    return waiting


@cache
def _matrices() -> list[tuple[ServedModel, NDArray[np.float32]]]:
    """Two batched models and one that is not, each with the weights that it multiplies with."""
    models = []
    for number, max_batch in enumerate([3, 8, 1]):
        weights = np.random.default_rng(number).integers(-9, 10, (4, 2)).astype(np.float32)
        rows = [-1] if max_batch > 1 else [2]
        model = load_model(
            onnx_models.linear(weights),
            f"linear{number}",
            inputs=tensor_specs(x=(DataType.FP32, [*rows, 4])),
            outputs=tensor_specs(y=(DataType.FP32, [*rows, 2])),
            max_batch=max_batch,
        )
        models.append((model, weights))
    return models


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 10), st.integers(0, 2**32)), max_size=25),
    st.sampled_from([0, 1]),
)
def test_every_job_gets_exactly_its_own_rows(
    drawn: list[tuple[int, int, int]], max_wait_ms: int
) -> None:
    """Whatever comes together, the answer is what the request alone would have been given."""
    models = _matrices()
    waiting = _waiting(max_wait_ms=max_wait_ms)
    expected = {}
    for slot, (which, rows, seed) in enumerate(drawn):
        model, weights = models[which]
        size = rows if model.batched else 2
        values = np.random.default_rng(seed).integers(-99, 100, (size, 4)).astype(np.float32)
        request = InferRequest(inputs=(from_numpy("x", values),))
        waiting.put(make_job(model, request, slot)[0])
        expected[slot] = values @ weights
    waiting.close()
    while (batch := waiting.take_batch()) is not None:
        assert len({each.model.digest for each in batch}) == 1
        assert len(batch) == 1 or sum(each.rows for each in batch) <= batch[0].model.max_rows
        for each, (found,) in zip(batch, run_batch(batch, ["y"]), strict=True):
            assert np.array_equal(found, expected.pop(each.slot))
    assert not expected


def test_several_inputs_and_outputs_stay_together() -> None:
    """All inputs are stacked alike, and the outputs asked for come in their order."""
    inputs = tensor_specs(a=(DataType.FP32, [-1, 2]), b=(DataType.FP32, [-1, 2]))
    outputs = tensor_specs(sum=(DataType.FP32, [-1, 2]), difference=(DataType.FP32, [-1, 2]))
    model = load_model(
        onnx_models.sum_and_difference(2), inputs=inputs, outputs=outputs, max_batch=4
    )
    jobs = []
    for rows in (1, 3):
        a = np.full((rows, 2), 10 * rows, np.float32)
        b = np.full((rows, 2), rows, np.float32)
        # The order in which a request names its inputs is its own affair.
        tensors = (from_numpy("b", b), from_numpy("a", a))[:: 1 if rows == 1 else -1]
        jobs.append(make_job(model, InferRequest(inputs=tensors))[0])
    assert jobs[0].group == jobs[1].group
    one, three = run_batch(jobs, ["difference", "sum"])
    assert [array.tolist() for array in one] == [[[9, 9]], [[11, 11]]]
    assert [array.tolist() for array in three] == [[[27, 27]] * 3, [[33, 33]] * 3]


def test_a_smaller_batch_may_be_set_for_the_worker() -> None:
    """The worker's bound goes before the manifest's; larger requests are cut into slices."""
    inputs, outputs = ANY
    model = load_model(
        onnx_models.elementwise("Neg"),
        loading=make_loader(max_batch=2),
        inputs=inputs,
        outputs=outputs,
        max_batch=8,
    )
    assert (model.max_rows, model.batched) == (2, True)
    five = make_rows_job(model, 5)
    ((found,),) = run_batch([five], ["y"])
    assert np.array_equal(found, -five.inputs["x"])


def test_a_batched_model_that_mixes_rows_is_found_out() -> None:
    """An output without a row for every row could be anyone's, so nobody gets it."""
    inputs, outputs = ANY
    model = load_model(onnx_models.doubled(0), inputs=inputs, outputs=outputs, max_batch=8)
    jobs = [make_rows_job(model, 1), make_rows_job(model, 2)]
    with pytest.raises(ModelError, match=r"output y: shape \[6, 2\] for a batch of 3 rows"):
        run_batch(jobs, ["y"])


def test_a_model_that_fails_says_so() -> None:
    """The runtime's exception does not come through as it is."""
    model = load_model(
        onnx_models.picky(),
        inputs=tensor_specs(x=(DataType.INT64, [-1, 1])),
        outputs=tensor_specs(y=(DataType.FP32, [-1, 1])),
    )
    good = make_job(model, InferRequest(inputs=(from_numpy("x", np.array([[2]])),)))[0]
    bad = make_job(model, InferRequest(inputs=(from_numpy("x", np.array([[9]])),)))[0]
    with pytest.raises(ModelError, match="the model failed"):
        run_batch([good, bad], ["y"])
    assert run_batch([good], ["y"])[0][0].tolist() == [[30]]


def test_a_job_does_not_show_what_it_holds() -> None:
    """Inputs are not part of a repr."""
    assert "array" not in repr(make_rows_job(any_negation("a", 4), 1))
