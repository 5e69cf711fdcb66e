"""An enclave's clock never goes back, and needs no host to move on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sealflow.trusted.clock import EnclaveClock
from tests.support.trusted.told_clock import told_clock


class _Counter:
    """Milliseconds that the test lets pass."""

    def __init__(self) -> None:
        self.ms = 5_000_000

    def __call__(self) -> int:
        return self.ms


def test_it_never_goes_back() -> None:
    """A host that turns its clock back finds the enclave's where it was."""
    clock = told_clock(1000)
    assert clock.now_ms == 1000
    assert clock.advance(500) == 1000
    assert clock.advance(1500) == 1500
    assert clock.now_ms == 1500


def test_it_moves_on_by_itself() -> None:
    """Time passes also when the host says nothing, or the same again and again."""
    own = _Counter()
    clock = EnclaveClock(1000, own)
    own.ms += 700
    assert clock.now_ms == 1700
    assert clock.advance(1000) == 1700


def test_a_leap_is_not_added_to_what_passes() -> None:
    """After a leap it waits until the time since the start has caught up."""
    own = _Counter()
    clock = EnclaveClock(1000, own)
    assert clock.advance(9000) == 9000
    own.ms += 7999
    assert clock.now_ms == 9000
    own.ms += 2
    assert clock.now_ms == 9001


def test_a_time_that_is_vouched_for_moves_on() -> None:
    """A start in the past is made good; a vouched time in the past changes nothing."""
    own = _Counter()
    clock = EnclaveClock(1000, own)
    clock.count_from(50_000)
    own.ms += 5
    assert clock.now_ms == 50_005
    clock.count_from(100)
    assert clock.now_ms == 50_005


@given(
    steps=st.lists(st.tuples(st.sampled_from("tpv"), st.integers(0, 10**13)), max_size=20),
    start=st.integers(0, 10**13),
)
def test_whatever_a_host_tells_time_passes(steps: list[tuple[str, int]], start: int) -> None:
    """It is never less than before, than the start plus what passed, or than what was told."""
    own = _Counter()
    clock, before, passed = EnclaveClock(start, own), start, 0
    for kind, number in steps:
        if kind == "t":
            clock.advance(number)
        elif kind == "p":
            own.ms += number
            passed += number
        else:
            clock.count_from(number)
        now_ms = clock.now_ms
        assert now_ms >= max(before, start + passed, number if kind != "p" else 0)
        before = now_ms
