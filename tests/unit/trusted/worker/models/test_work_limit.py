"""The time that loads and runs of models may take."""

from __future__ import annotations

import pytest

from sealflow.errors import ModelError
from sealflow.trusted.port import FatalError
from sealflow.trusted.worker.models.work_limit import GRACE_MS, MAX_STEP_MS, WorkLimit
from sealflow.wire.frame_payloads import Fatal

DIGEST = "ab" * 32


def test_work_within_the_limit() -> None:
    """It goes on, and the time of one does not count for the next."""
    limit = WorkLimit("run", 5)
    for _ in range(3):
        with limit.work(DIGEST, lambda: pytest.fail("stopped")):
            assert limit.advance(4_999) is None
    assert limit.advance(MAX_STEP_MS) is None


def test_work_over_the_limit() -> None:
    """It is asked to stop, once; its digest is told, and it fails even if it gives a result."""
    limit, stops = WorkLimit("run", 5), []
    with (
        pytest.raises(ModelError, match="the run was stopped after 5 s"),
        limit.work(DIGEST, lambda: stops.append(1)),
    ):
        assert [limit.advance(4_000) for _ in range(3)] == [None, DIGEST, None]
    assert stops == [1]


def test_work_that_does_not_stop() -> None:
    """It ends the process."""
    limit = WorkLimit("load", 1)

    def go_on() -> None:
        with limit.work(DIGEST, lambda: None):
            for _ in range((1000 + GRACE_MS) // MAX_STEP_MS + 1):
                limit.advance(MAX_STEP_MS)

    with pytest.raises((FatalError, ModelError)) as caught:
        go_on()
    found = caught.value if isinstance(caught.value, FatalError) else caught.value.__context__
    assert isinstance(found, FatalError)
    assert found.code is Fatal.HUNG


def test_a_clock_that_leaps() -> None:
    """A tick counts for some seconds at most."""
    limit = WorkLimit("run", 60)
    with limit.work(DIGEST, lambda: pytest.fail("stopped")):
        assert limit.advance(10**12) is None
