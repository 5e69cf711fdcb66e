"""Jobs wait in groups of one model and shape, in turn, within bounds."""

from __future__ import annotations

import threading

from sealflow.trusted.worker.serving.batching import BatchQueue, Job
from tests.support.models.served_models import any_negation
from tests.support.trusted.jobs import make_rows_job


def _waiting(*jobs: Job, max_wait_ms: int = 0) -> BatchQueue:
    waiting = BatchQueue(max_jobs=1000, max_bytes=2**30, max_wait_ms=max_wait_ms)
    for each in jobs:
        waiting.put(each)
    return waiting


def _rest(waiting: BatchQueue) -> list[list[int]]:
    """The slots of all batches, until there are none."""
    waiting.close()
    batches = []
    while (batch := waiting.take_batch()) is not None:
        batches.append([each.slot for each in batch])
    return batches


def test_jobs_are_taken_together_up_to_the_models_batch() -> None:
    """First come, first taken; a request is never split over two batches."""
    model = any_negation("a", 4)
    rows = [1, 2, 1, 3, 2, 4, 1]
    waiting = _waiting(*[make_rows_job(model, each, slot=slot) for slot, each in enumerate(rows)])
    assert _rest(waiting) == [[0, 1, 2], [3], [4], [5], [6]]


def test_nobody_is_overtaken() -> None:
    """A small request does not slip past a large one that waits before it."""
    model = any_negation("a", 4)
    waiting = _waiting(
        *[make_rows_job(model, each, slot=slot) for slot, each in enumerate([3, 4, 1])]
    )
    assert _rest(waiting) == [[0], [1], [2]]


def test_other_shapes_make_other_batches() -> None:
    """Rows of different lengths cannot be stacked."""
    model = any_negation("a", 8)
    widths = [2, 3, 2, 3]
    waiting = _waiting(
        *[make_rows_job(model, 1, width, slot=slot) for slot, width in enumerate(widths)]
    )
    assert _rest(waiting) == [[0, 2], [1, 3]]


def test_models_take_turns() -> None:
    """A model with a long queue does not keep the others waiting."""
    busy, quiet = any_negation("a", 2), any_negation("b", 2)
    assert busy.digest != quiet.digest
    jobs = [make_rows_job(busy, 1, slot=slot) for slot in range(6)]
    jobs += [make_rows_job(quiet, 1, slot=slot) for slot in (6, 7, 8)]
    assert _rest(_waiting(*jobs)) == [[0, 1], [6, 7], [2, 3], [8], [4, 5]]


def test_models_without_batches_run_one_by_one() -> None:
    """Requests stay apart in the order in which they came."""
    model = any_negation("one", 1)
    jobs = [make_rows_job(model, rows, slot=slot) for slot, rows in enumerate([1, 1, 5])]
    assert _rest(_waiting(*jobs)) == [[0], [1], [2]]


def test_a_job_over_the_batch_goes_alone() -> None:
    """It is cut into slices when it runs, not refused."""
    model = any_negation("a", 4)
    jobs = [make_rows_job(model, rows, slot=slot) for slot, rows in enumerate([9, 1, 1])]
    assert _rest(_waiting(*jobs)) == [[0], [1, 2]]


def test_closing_keeps_what_waits() -> None:
    """After the close the jobs still come, then None for ever."""
    waiting = _waiting(make_rows_job(any_negation("a", 4), 1, slot=3))
    assert _rest(waiting) == [[3]]
    assert waiting.take_batch() is None


def test_taking_waits_for_a_job() -> None:
    """A thread that takes from nothing is woken by the first job, and by the close."""
    waiting = _waiting()
    found: list[list[Job] | None] = []

    def take() -> None:
        found.extend((waiting.take_batch(), waiting.take_batch()))

    thread = threading.Thread(target=take)
    thread.start()
    first = make_rows_job(any_negation("a", 4), 1)
    waiting.put(first)
    waiting.close()
    thread.join(30)
    assert found == [[first], None]


def test_jobs_are_bounded_in_number() -> None:
    """A full hand-over makes the putting thread wait: no batch can hold more than the bound."""
    model = any_negation("a", 8)
    jobs = [make_rows_job(model, 1, slot=slot) for slot in range(20)]
    waiting = BatchQueue(max_jobs=3, max_bytes=2**30, max_wait_ms=0)
    _put_and_take(waiting, jobs, most=3)


def test_jobs_are_bounded_in_bytes() -> None:
    """What the jobs hold counts too; the one that is over by itself is let in alone."""
    model = any_negation("a", 8)
    widths = [10, 10, 10, 10, 10, 10, 10]
    jobs = [make_rows_job(model, 1, width, slot=slot) for slot, width in enumerate(widths)]
    assert [each.weight for each in jobs] == [40] * 7
    _put_and_take(BatchQueue(max_jobs=100, max_bytes=99, max_wait_ms=0), jobs, most=2)
    _put_and_take(BatchQueue(max_jobs=100, max_bytes=39, max_wait_ms=0), jobs, most=1)


def _put_and_take(waiting: BatchQueue, jobs: list[Job], *, most: int) -> None:
    def put() -> None:
        for each in jobs:
            waiting.put(each)
        waiting.close()

    thread = threading.Thread(target=put)
    thread.start()
    taken = []
    while (batch := waiting.take_batch()) is not None:
        assert len(batch) <= most
        taken.extend(batch)
    thread.join(30)
    assert taken == jobs


def test_waiting_for_company_ends_with_a_full_batch() -> None:
    """Told to wait, a batch starts as soon as it is full."""
    model = any_negation("a", 4)
    waiting = _waiting(max_wait_ms=100_000)
    found: list[list[Job] | None] = []
    thread = threading.Thread(target=lambda: found.append(waiting.take_batch()))
    thread.start()
    jobs = [make_rows_job(model, 1) for _ in range(4)]
    for each in jobs:
        waiting.put(each)
    thread.join(30)
    assert found == [jobs]


def test_waiting_for_company_ends_when_nothing_more_fits() -> None:
    """A full hand-over cannot bring company, so the batch starts."""
    model = any_negation("a", 8)
    waiting = BatchQueue(max_jobs=2, max_bytes=2**30, max_wait_ms=100_000)
    jobs = [make_rows_job(model, 1) for _ in range(2)]
    for each in jobs:
        waiting.put(each)
    assert waiting.take_batch() == jobs


def test_waiting_for_company_ends_with_the_close() -> None:
    """At the end nobody waits for what cannot come."""
    waiting = _waiting(max_wait_ms=100_000)
    first = make_rows_job(any_negation("a", 4), 1)
    found: list[list[Job] | None] = []
    thread = threading.Thread(target=lambda: found.append(waiting.take_batch()))
    thread.start()
    waiting.put(first)
    waiting.close()
    thread.join(30)
    assert found == [[first]]


def test_waiting_for_company_ends_in_time() -> None:
    """Who gets no company goes alone."""
    first = make_rows_job(any_negation("a", 4), 1)
    assert _waiting(first, max_wait_ms=1).take_batch() == [first]


def test_waiting_for_company_ends_where_others_wait() -> None:
    """A batch does not hold up the batches that could run in its place."""
    jobs = [make_rows_job(any_negation(name, 4), 1) for name in "ab"]
    waiting = _waiting(*jobs, max_wait_ms=100_000)
    assert waiting.take_batch() == [jobs[0]]


def test_what_waits_is_taken_without_waiting() -> None:
    """The next batch comes at once, or not at all where a batch waits for company."""
    jobs = [make_rows_job(any_negation("a", 4), 3) for _ in range(2)]
    waiting = _waiting(*jobs)
    assert [waiting.take_waiting() for _ in range(3)] == [[jobs[0]], [jobs[1]], None]
    assert _waiting(*jobs, max_wait_ms=100_000).take_waiting() is None
