"""Batches: whole requests of one model and shape, in turn; everyone gets exactly its own rows."""

from __future__ import annotations

import threading
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
from sealflow.trusted.worker.batching import Job, WaitingJobs, run_batch
from tests.sim import onnx_models
from tests.unit.trusted.worker.parts import job, loader, served, specs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sealflow.trusted.worker.loading import ServedModel

ANY = specs(x=(DataType.FP32, [-1, -1])), specs(y=(DataType.FP32, [-1, -1]))


@cache
def _negation(name: str, max_batch: int) -> ServedModel:
    """Gives -x of rows of any length."""
    inputs, outputs = ANY
    model = onnx_models.elementwise("Neg")
    return served(model, name, inputs=inputs, outputs=outputs, max_batch=max_batch)


def _job(model: ServedModel, rows: int, width: int = 2, start: float = 0, slot: int = 0) -> Job:
    values = np.arange(start, start + rows * width, dtype=np.float32).reshape(rows, width)
    return job(model, InferRequest(inputs=(from_numpy("x", values),)), slot)[0]


def _waiting(*jobs: Job, max_wait_ms: int = 0) -> WaitingJobs:
    waiting = WaitingJobs(max_jobs=1000, max_bytes=2**30, max_wait_ms=max_wait_ms)
    for each in jobs:
        waiting.put(each)
    return waiting


def _rest(waiting: WaitingJobs) -> list[list[int]]:
    """The slots of all batches, until there are none."""
    waiting.close()
    batches = []
    while (batch := waiting.take()) is not None:
        batches.append([each.slot for each in batch])
    return batches


def test_jobs_are_taken_together_up_to_the_models_batch() -> None:
    """First come, first taken; a request is never split over two batches."""
    model = _negation("a", 4)
    rows = [1, 2, 1, 3, 2, 4, 1]
    waiting = _waiting(*[_job(model, each, slot=slot) for slot, each in enumerate(rows)])
    assert _rest(waiting) == [[0, 1, 2], [3], [4], [5], [6]]


def test_nobody_is_overtaken() -> None:
    """A small request does not slip past a large one that waits before it."""
    model = _negation("a", 4)
    waiting = _waiting(*[_job(model, each, slot=slot) for slot, each in enumerate([3, 4, 1])])
    assert _rest(waiting) == [[0], [1], [2]]


def test_other_shapes_make_other_batches() -> None:
    """Rows of different lengths cannot be stacked."""
    model = _negation("a", 8)
    widths = [2, 3, 2, 3]
    waiting = _waiting(*[_job(model, 1, width, slot=slot) for slot, width in enumerate(widths)])
    assert _rest(waiting) == [[0, 2], [1, 3]]


def test_models_take_turns() -> None:
    """A model with a long queue does not keep the others waiting."""
    busy, quiet = _negation("a", 2), _negation("b", 2)
    assert busy.digest != quiet.digest
    jobs = [_job(busy, 1, slot=slot) for slot in range(6)]
    jobs += [_job(quiet, 1, slot=slot) for slot in (6, 7, 8)]
    assert _rest(_waiting(*jobs)) == [[0, 1], [6, 7], [2, 3], [8], [4, 5]]


def test_models_without_batches_run_one_by_one() -> None:
    """Requests stay apart in the order in which they came."""
    model = _negation("one", 1)
    jobs = [_job(model, rows, slot=slot) for slot, rows in enumerate([1, 1, 5])]
    assert _rest(_waiting(*jobs)) == [[0], [1], [2]]


def test_a_job_over_the_batch_goes_alone() -> None:
    """It is cut into slices when it runs, not refused."""
    model = _negation("a", 4)
    jobs = [_job(model, rows, slot=slot) for slot, rows in enumerate([9, 1, 1])]
    assert _rest(_waiting(*jobs)) == [[0], [1, 2]]


def test_closing_keeps_what_waits() -> None:
    """After the close the jobs still come, then None for ever."""
    waiting = _waiting(_job(_negation("a", 4), 1, slot=3))
    assert _rest(waiting) == [[3]]
    assert waiting.take() is None


def test_taking_waits_for_a_job() -> None:
    """A thread that takes from nothing is woken by the first job, and by the close."""
    waiting = _waiting()
    found: list[list[Job] | None] = []

    def take() -> None:
        found.extend((waiting.take(), waiting.take()))

    thread = threading.Thread(target=take)
    thread.start()
    first = _job(_negation("a", 4), 1)
    waiting.put(first)
    waiting.close()
    thread.join(30)
    assert found == [[first], None]


def test_jobs_are_bounded_in_number() -> None:
    """A full hand-over makes the putting thread wait: no batch can hold more than the bound."""
    model = _negation("a", 8)
    jobs = [_job(model, 1, slot=slot) for slot in range(20)]
    waiting = WaitingJobs(max_jobs=3, max_bytes=2**30, max_wait_ms=0)
    _put_and_take(waiting, jobs, most=3)


def test_jobs_are_bounded_in_bytes() -> None:
    """What the jobs hold counts too; the one that is over by itself is let in alone."""
    model = _negation("a", 8)
    widths = [10, 10, 10, 10, 10, 10, 10]
    jobs = [_job(model, 1, width, slot=slot) for slot, width in enumerate(widths)]
    assert [each.weight for each in jobs] == [40] * 7
    _put_and_take(WaitingJobs(max_jobs=100, max_bytes=99, max_wait_ms=0), jobs, most=2)
    _put_and_take(WaitingJobs(max_jobs=100, max_bytes=39, max_wait_ms=0), jobs, most=1)


def _put_and_take(waiting: WaitingJobs, jobs: list[Job], *, most: int) -> None:
    def put() -> None:
        for each in jobs:
            waiting.put(each)
        waiting.close()

    thread = threading.Thread(target=put)
    thread.start()
    taken = []
    while (batch := waiting.take()) is not None:
        assert len(batch) <= most
        taken.extend(batch)
    thread.join(30)
    assert taken == jobs


def test_waiting_for_company_ends_with_a_full_batch() -> None:
    """Told to wait, a batch starts as soon as it is full."""
    model = _negation("a", 4)
    waiting = _waiting(max_wait_ms=100_000)
    found: list[list[Job] | None] = []
    thread = threading.Thread(target=lambda: found.append(waiting.take()))
    thread.start()
    jobs = [_job(model, 1) for _ in range(4)]
    for each in jobs:
        waiting.put(each)
    thread.join(30)
    assert found == [jobs]


def test_waiting_for_company_ends_when_nothing_more_fits() -> None:
    """A full hand-over cannot bring company, so the batch starts."""
    model = _negation("a", 8)
    waiting = WaitingJobs(max_jobs=2, max_bytes=2**30, max_wait_ms=100_000)
    jobs = [_job(model, 1) for _ in range(2)]
    for each in jobs:
        waiting.put(each)
    assert waiting.take() == jobs


def test_waiting_for_company_ends_with_the_close() -> None:
    """At the end nobody waits for what cannot come."""
    waiting = _waiting(max_wait_ms=100_000)
    first = _job(_negation("a", 4), 1)
    found: list[list[Job] | None] = []
    thread = threading.Thread(target=lambda: found.append(waiting.take()))
    thread.start()
    waiting.put(first)
    waiting.close()
    thread.join(30)
    assert found == [[first]]


def test_waiting_for_company_ends_in_time() -> None:
    """Who gets no company goes alone."""
    first = _job(_negation("a", 4), 1)
    assert _waiting(first, max_wait_ms=1).take() == [first]


@cache
def _matrices() -> list[tuple[ServedModel, NDArray[np.float32]]]:
    """Two batched models and one that is not, each with the weights that it multiplies with."""
    models = []
    for number, max_batch in enumerate([3, 8, 1]):
        weights = np.random.default_rng(number).integers(-9, 10, (4, 2)).astype(np.float32)
        rows = [-1] if max_batch > 1 else [2]
        model = served(
            onnx_models.linear(weights),
            f"linear{number}",
            inputs=specs(x=(DataType.FP32, [*rows, 4])),
            outputs=specs(y=(DataType.FP32, [*rows, 2])),
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
        waiting.put(job(model, request, slot)[0])
        expected[slot] = values @ weights
    waiting.close()
    while (batch := waiting.take()) is not None:
        assert len({each.model.digest for each in batch}) == 1
        assert len(batch) == 1 or sum(each.rows for each in batch) <= batch[0].model.max_rows
        for each, (found,) in zip(batch, run_batch(batch, ["y"]), strict=True):
            assert np.array_equal(found, expected.pop(each.slot))
    assert not expected


def test_several_inputs_and_outputs_stay_together() -> None:
    """All inputs are stacked alike, and the outputs asked for come in their order."""
    inputs = specs(a=(DataType.FP32, [-1, 2]), b=(DataType.FP32, [-1, 2]))
    outputs = specs(sum=(DataType.FP32, [-1, 2]), difference=(DataType.FP32, [-1, 2]))
    model = served(onnx_models.sum_and_difference(2), inputs=inputs, outputs=outputs, max_batch=4)
    jobs = []
    for rows in (1, 3):
        a = np.full((rows, 2), 10 * rows, np.float32)
        b = np.full((rows, 2), rows, np.float32)
        # The order in which a request names its inputs is its own affair.
        tensors = (from_numpy("b", b), from_numpy("a", a))[:: 1 if rows == 1 else -1]
        jobs.append(job(model, InferRequest(inputs=tensors))[0])
    assert jobs[0].group == jobs[1].group
    one, three = run_batch(jobs, ["difference", "sum"])
    assert [array.tolist() for array in one] == [[[9, 9]], [[11, 11]]]
    assert [array.tolist() for array in three] == [[[27, 27]] * 3, [[33, 33]] * 3]


def test_a_smaller_batch_may_be_set_for_the_worker() -> None:
    """The worker's bound goes before the manifest's; larger requests are cut into slices."""
    inputs, outputs = ANY
    model = served(
        onnx_models.elementwise("Neg"),
        loading=loader(max_batch=2),
        inputs=inputs,
        outputs=outputs,
        max_batch=8,
    )
    assert (model.max_rows, model.batched) == (2, True)
    five = _job(model, 5)
    ((found,),) = run_batch([five], ["y"])
    assert np.array_equal(found, -five.inputs["x"])


def test_a_batched_model_that_mixes_rows_is_found_out() -> None:
    """An output without a row for every row could be anyone's, so nobody gets it."""
    inputs, outputs = ANY
    model = served(onnx_models.doubled(0), inputs=inputs, outputs=outputs, max_batch=8)
    jobs = [_job(model, 1), _job(model, 2)]
    with pytest.raises(ModelError, match=r"output y: shape \[6, 2\] for a batch of 3 rows"):
        run_batch(jobs, ["y"])


def test_a_model_that_fails_says_so() -> None:
    """The runtime's exception does not come through as it is."""
    model = served(
        onnx_models.picky(),
        inputs=specs(x=(DataType.INT64, [-1, 1])),
        outputs=specs(y=(DataType.FP32, [-1, 1])),
    )
    good = job(model, InferRequest(inputs=(from_numpy("x", np.array([[2]])),)))[0]
    bad = job(model, InferRequest(inputs=(from_numpy("x", np.array([[9]])),)))[0]
    with pytest.raises(ModelError, match="the model failed"):
        run_batch([good, bad], ["y"])
    assert run_batch([good], ["y"])[0][0].tolist() == [[30]]


def test_a_job_does_not_show_what_it_holds() -> None:
    """Inputs are not part of a repr."""
    assert "array" not in repr(_job(_negation("a", 4), 1))
