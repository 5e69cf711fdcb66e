"""Seen request ids: no replay passes, memory stays bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealflow.errors import RefusalCode, RefusedError
from sealflow.trusted.worker.serving.keyring import ReplayFilter
from sealflow.wire.ids import RequestId, new_request_id

END_MS = 100_000


def _refusal(seen: ReplayFilter, request_id: RequestId, now_ms: int) -> RefusalCode | None:
    try:
        seen.check(request_id, now_ms)
    except RefusedError as error:
        return error.code
    return None


def test_an_id_passes_once() -> None:
    """What was remembered is refused as replayed."""
    seen, request_id = ReplayFilter(10, END_MS), new_request_id()
    assert _refusal(seen, request_id, 1000) is None
    seen.remember(request_id, deadline_ms=5000)
    assert _refusal(seen, request_id, 1000) is RefusalCode.REPLAYED


def test_checking_alone_burns_nothing() -> None:
    """A forged envelope that does not open cannot use up another request's id."""
    seen, request_id = ReplayFilter(10, END_MS), new_request_id()
    seen.check(request_id, 0)
    seen.check(request_id, 0)
    assert len(seen) == 0


def test_a_full_memory_refuses_instead_of_forgetting() -> None:
    """At capacity new ids are refused as overload, and the old ones are still known."""
    seen = ReplayFilter(3, END_MS)
    ids = [new_request_id() for _ in range(3)]
    for request_id in ids:
        seen.remember(request_id, deadline_ms=10_000)
    assert _refusal(seen, new_request_id(), 9_999) is RefusalCode.OVERLOADED
    assert {_refusal(seen, request_id, 9_999) for request_id in ids} == {RefusalCode.REPLAYED}


def test_room_comes_back_when_deadlines_pass() -> None:
    """An id may be forgotten once its own request would be refused as expired."""
    seen = ReplayFilter(2, END_MS)
    seen.remember(new_request_id(), deadline_ms=1_500)
    seen.remember(new_request_id(), deadline_ms=60_000)
    assert _refusal(seen, new_request_id(), 1_500) is RefusalCode.OVERLOADED
    assert _refusal(seen, new_request_id(), 2_000) is None
    assert len(seen) == 1


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 20_000), st.integers(0, 3_000)), max_size=60
    )
)
def test_no_request_is_ever_taken_twice(steps: list[tuple[int, int, int]]) -> None:
    """Whatever deadlines and times come, what was taken once is replayed, expired or overload."""
    ids = [RequestId(f"{number:032x}") for number in range(6)]
    seen = ReplayFilter(4, END_MS)
    taken: dict[RequestId, int] = {}
    now_ms = 0
    for number, drawn_ms, passed_ms in steps:
        now_ms += passed_ms
        request_id = ids[number]
        deadline_ms = taken.get(request_id, drawn_ms)
        if now_ms > deadline_ms or _refusal(seen, request_id, now_ms) is not None:
            continue
        assert request_id not in taken
        taken[request_id] = deadline_ms
        seen.remember(request_id, deadline_ms)
        assert len(seen) <= 4


def test_refusals_are_values() -> None:
    """The refusal names its code."""
    seen = ReplayFilter(1, END_MS)
    seen.remember(new_request_id(), 10)
    with pytest.raises(RefusedError, match="overloaded"):
        seen.check(new_request_id(), 0)


def test_far_deadlines_end_with_the_key() -> None:
    """An id whose deadline is beyond its key's end is never forgotten, whatever the time is."""
    seen, request_id = ReplayFilter(2, END_MS), new_request_id()
    seen.remember(request_id, END_MS)
    assert _refusal(seen, request_id, 10 * END_MS) is RefusalCode.REPLAYED
    seen.remember(new_request_id(), END_MS - 1)
    assert _refusal(seen, new_request_id(), END_MS - 1) is RefusalCode.OVERLOADED
    assert _refusal(seen, new_request_id(), END_MS) is None
