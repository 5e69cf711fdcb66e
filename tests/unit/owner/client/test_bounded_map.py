"""Many things at a time in threads: bounded, lazy, and given up at once."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import ConfigError
from sealflow.owner.client.bounded_map import bounded_map

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_all_are_done() -> None:
    """Each item is done once, with its place."""
    found = sorted(bounded_map(lambda index, item: (index, item * 2), "abcde", 3))
    assert found == [(0, "aa"), (1, "bb"), (2, "cc"), (3, "dd"), (4, "ee")]


@pytest.mark.parametrize("items", [[], ["one"]])
def test_few(items: list[str]) -> None:
    """None and one are no special cases."""
    assert list(bounded_map(lambda _, item: item, items, 8)) == items


def test_bounded() -> None:
    """So many are done at a time and no more, and items are taken only then."""
    lock = threading.Lock()
    now, most, taken = 0, 0, 0

    def do(index: int, item: int) -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.005)
        with lock:
            now -= 1
        return item

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(40):
            taken += 1
            yield number

    done = 0
    for _ in bounded_map(do, items(), 4):
        done += 1
        assert taken <= done + 5
    assert (done, most) == (40, 4)


def test_as_they_finish() -> None:
    """A slow one does not hold up those after it."""
    go = threading.Event()

    def do(index: int, item: str) -> str:
        if item == "slow":
            go.wait(20)
        return item

    found = bounded_map(do, ["slow", "quick", "quick"], 2)
    assert next(found) == "quick"
    assert next(found) == "quick"
    go.set()
    assert list(found) == ["slow"]


def test_errors_are_raised() -> None:
    """What goes wrong in a thread is raised where its result would have been."""

    def do(index: int, item: int) -> int:
        if item == 1:
            raise ConfigError("no good")
        return item

    with pytest.raises(ConfigError, match="no good"):
        list(bounded_map(do, [0, 1, 2], 1))


def test_given_up() -> None:
    """Whoever stops listening waits for nothing; threads end once they have done what they do."""
    go = threading.Event()
    before = set(threading.enumerate())

    def do(index: int, item: int) -> int:
        if index:
            go.wait(20)
        return item

    found = bounded_map(do, range(100), 3)
    assert next(found) == 0
    started = set(threading.enumerate()) - before
    assert len(started) == 3
    found.close()  # type: ignore[attr-defined] # it is a generator
    assert not go.is_set()
    go.set()
    for thread in started:
        thread.join(20)
        assert not thread.is_alive()
