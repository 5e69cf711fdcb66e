"""Owner: do many things at a time in threads. Whoever stops listening waits for none of them."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")
R = TypeVar("R")


def bounded_map(do: Callable[[int, T], R], items: Iterable[T], concurrency: int) -> Iterator[R]:
    """Do something with each item and its place, `concurrency` at a time; yields what is done.

    Items are taken as fast as others are done. The threads are daemons: an interrupted program ends
    at once, though some of them wait for an answer.

    Raises: what `do` raises.
    """
    work: queue.SimpleQueue[tuple[int, T] | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[R | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        while (task := work.get()) is not None:
            try:
                done.put((do(*task), None))
            except BaseException as error:  # noqa: BLE001 - raised by who listens
                done.put((None, error))

    threads = running = 0
    try:
        for task in enumerate(items):
            if running == concurrency:
                yield _taken(done)
                running -= 1
            if threads < concurrency:
                threading.Thread(target=run, name=f"sealflow-{threads}", daemon=True).start()
                threads += 1
            work.put(task)
            running += 1
        for _ in range(running):
            yield _taken(done)
    finally:
        for _ in range(threads):
            work.put(None)


def _taken(done: queue.SimpleQueue[tuple[R | None, BaseException | None]]) -> R:
    value, error = done.get()
    if error is not None:
        raise error
    return value  # type: ignore[return-value] # one of the two is there
