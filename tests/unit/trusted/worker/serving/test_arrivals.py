"""What arrives waits within bounds; news always gets through."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from sealflow.trusted.worker.serving.arrivals import (
    ArrivalQueue,
    ClockTick,
    EnvelopeBatch,
    ServingUpdate,
)


def _envelopes(*sizes: int) -> EnvelopeBatch:
    return EnvelopeBatch(items=[(slot, memoryview(bytes(size))) for slot, size in enumerate(sizes)])


def _serving() -> ServingUpdate:
    return ServingUpdate(keys=(), lease_ms=0, models={})


def test_messages_come_out_in_order() -> None:
    """News and envelopes are taken in the order in which they came."""
    arrivals = ArrivalQueue(max_items=10, max_bytes=100)
    first, second, serving, tick = _envelopes(1), _envelopes(2), _serving(), ClockTick()
    assert arrivals.offer(first)
    arrivals.put(serving)
    assert arrivals.offer(second)
    arrivals.put(tick)
    arrivals.put(None)
    assert [arrivals.next() for _ in range(5)] == [first, serving, second, tick, None]


def test_envelopes_are_bounded_in_number() -> None:
    """A frame that would go over the bound is refused as a whole, and room comes back."""
    arrivals = ArrivalQueue(max_items=3, max_bytes=1000)
    assert arrivals.offer(_envelopes(1, 1))
    assert not arrivals.offer(_envelopes(1, 1))
    assert arrivals.offer(_envelopes(1))
    assert not arrivals.offer(_envelopes(1))
    arrivals.next()
    assert arrivals.offer(_envelopes(1, 1))


def test_envelopes_are_bounded_in_bytes() -> None:
    """Bytes count as well as envelopes."""
    arrivals = ArrivalQueue(max_items=1000, max_bytes=100)
    assert arrivals.offer(_envelopes(60))
    assert not arrivals.offer(_envelopes(20, 21))
    assert arrivals.offer(_envelopes(20, 20))
    arrivals.next()
    assert not arrivals.offer(_envelopes(61))
    assert arrivals.offer(_envelopes(60))


def test_an_empty_queue_takes_any_frame() -> None:
    """What is over the bound by itself must not wait forever."""
    arrivals = ArrivalQueue(max_items=1, max_bytes=10)
    whole = _envelopes(50, 50)
    assert arrivals.offer(whole)
    assert not arrivals.offer(_envelopes(1))
    assert arrivals.next() is whole
    assert arrivals.offer(_envelopes(1))


def test_news_pass_a_full_queue() -> None:
    """Time and keys are never refused."""
    arrivals = ArrivalQueue(max_items=1, max_bytes=1)
    arrivals.offer(_envelopes(1))
    serving = _serving()
    arrivals.put(serving)
    arrivals.next()
    assert arrivals.next() is serving


def test_the_reader_waits_for_what_comes() -> None:
    """A thread that asks first is woken by what is offered later."""
    arrivals = ArrivalQueue(max_items=10, max_bytes=10)
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(arrivals.next()))
    thread.start()
    sent = _envelopes(1)
    arrivals.offer(sent)
    thread.join(30)
    assert found == [sent]


@given(st.lists(st.one_of(st.lists(st.integers(0, 40), max_size=4), st.none()), max_size=60))
def test_the_bound_holds_whatever_comes(steps: list[list[int] | None]) -> None:
    """After any offers and takes, what waits is within the bound unless it is a single frame."""
    arrivals = ArrivalQueue(max_items=6, max_bytes=80)
    waiting: list[EnvelopeBatch] = []
    for sizes in steps:
        if sizes is None:
            if waiting:
                assert arrivals.next() is waiting.pop(0)
            continue
        offered = _envelopes(*sizes)
        after = [*waiting, offered]
        items = sum(len(each.items) for each in after)
        total = sum(len(data) for each in after for _, data in each.items)
        empty = not any(each.items for each in waiting)
        assert arrivals.offer(offered) is (empty or (items <= 6 and total <= 80))
        if empty or (items <= 6 and total <= 80):
            waiting.append(offered)


def test_envelopes_do_not_show_what_they_hold() -> None:
    """A repr has no bytes of a request."""
    assert repr(_envelopes(5)) == "EnvelopeBatch()"


def test_time_passes_also_when_nothing_arrives() -> None:
    """An empty queue gives a tick by itself, so that keys end without a message."""
    assert isinstance(ArrivalQueue(max_items=1, max_bytes=1).next(), ClockTick)


def test_it_is_known_whether_something_waits() -> None:
    """So that what has come already can be taken along."""
    arrivals = ArrivalQueue(max_items=1, max_bytes=1)
    assert not arrivals.waiting
    arrivals.put(None)
    assert arrivals.waiting
