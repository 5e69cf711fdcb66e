"""Owner: maps a function over items in a bounded number of threads."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")
R = TypeVar("R")


def bounded_map(do: Callable[[int, T], R], items: Iterable[T], concurrency: int) -> Iterator[R]:
    """Call `do` with the index and value of each item in threads; yield results as they arrive.

    At most `concurrency` calls run at a time, and an item is taken only when a call can start. The
    threads are daemons, so that an interrupted program ends at once, without waiting for calls in
    progress. A caller that stops iterating does not wait for them either.

    Raises: every error of `do`.
    """
    work: queue.SimpleQueue[tuple[int, T] | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[R | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        while (task := work.get()) is not None:
            try:
                done.put((do(*task), None))
            except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
                done.put((None, error))

    threads = running = 0
    try:
        for task in enumerate(items):
            if running == concurrency:
                yield _next_result(done)
                running -= 1
            if threads < concurrency:
                threading.Thread(target=run, name=f"sealflow-{threads}", daemon=True).start()
                threads += 1
            work.put(task)
            running += 1
        for _ in range(running):
            yield _next_result(done)
    finally:
        for _ in range(threads):
            work.put(None)


def _next_result(done: queue.SimpleQueue[tuple[R | None, BaseException | None]]) -> R:
    value, error = done.get()
    if error is not None:
        raise error
    return value  # type: ignore[return-value] # a result, as there is no error
