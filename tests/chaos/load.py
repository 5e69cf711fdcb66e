"""Open-loop load: requests go out at their times, whatever becomes of those before."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sealflow.owner import InferResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealflow.errors import SealflowError
    from sealflow.owner import AsyncClient, QueueClient

BURST = 1200
RATE = 40
PATIENCE_S = 240.0
IN_FLIGHT = 1000


@dataclass(slots=True)
class Arrived:
    """What came back for one request, and when (monotonic seconds)."""

    at_s: float
    outcome: InferResult | SealflowError


@dataclass(slots=True)
class Load:
    """What was sent and what came back; the same for both ways in."""

    sent: int = 0
    arrived: dict[str, Arrived] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)

    @property
    def in_flight(self) -> int:
        """Requests without an outcome."""
        return self.sent - len(self.arrived)

    def note(self, name: str, outcome: InferResult | SealflowError) -> None:
        """Keep one outcome."""
        if name in self.arrived:
            self.twice.append(name)
        self.arrived[name] = Arrived(time.monotonic(), outcome)

    def wrong(self) -> dict[str, object]:
        """Outcomes that are not exactly the answer to their request."""
        found: dict[str, object] = {}
        for name, each in self.arrived.items():
            outcome = each.outcome
            if not isinstance(outcome, InferResult):
                found[name] = outcome
            elif outcome.outputs["y"].tolist() != [_row(int(name))]:
                found[name] = outcome.outputs["y"].tolist()
        return found

    def demand_all(self) -> None:
        """Every request has its answer, the right one, once."""
        assert self.wrong() == {}, self.wrong()
        assert self.twice == [], self.twice
        assert len(self.arrived) == self.sent

    def recovery_s(self, fault_at_s: float) -> float:
        """How long after a fault the longest pause between answers ended."""
        times = sorted(each.at_s for each in self.arrived.values())
        after = [fault_at_s, *(at_s for at_s in times if at_s > fault_at_s)]
        pauses = [(later - earlier, later) for earlier, later in itertools.pairwise(after)]
        return max(pauses)[1] - fault_at_s if pauses else 0.0


def _row(number: int) -> list[float]:
    return [float(number), 1.0, 2.0, 3.0]


def _tensors(number: int) -> dict[str, list[list[float]]]:
    return {"x": [_row(number)]}


class Running:
    """A load in a thread of its own, from `start` until all of it is answered."""

    def __init__(self, drive: Callable[[Load, threading.Event], None]) -> None:
        """Start it and wait until so many requests are in flight that a fault meets many."""
        self.load = Load()
        self._ending = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(drive,))
        self._thread.start()
        until = time.monotonic() + PATIENCE_S
        while self.load.in_flight < IN_FLIGHT:
            assert self._thread.is_alive(), self._failure
            assert time.monotonic() < until
            time.sleep(0.01)

    def _run(self, drive: Callable[[Load, threading.Event], None]) -> None:
        try:
            drive(self.load, self._ending)
        except BaseException as error:
            self._failure = error
            raise

    def finish(self) -> Load:
        """Send no more, wait for all answers, and check them."""
        self._ending.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), f"{self.load.in_flight} requests have no outcome"
        assert self._failure is None, self._failure
        return self.load


def by_queue(queue: Callable[[], QueueClient]) -> Callable[[Load, threading.Event], None]:
    """Send straight onto the stream."""

    def drive(load: Load, ending: threading.Event) -> None:
        with queue() as client:
            names = {str(n): _tensors(n) for n in range(BURST)}
            client.enqueue_many("slow", names, timeout_s=PATIENCE_S)
            load.sent = BURST
            started = time.monotonic()
            while not ending.is_set() or load.in_flight:
                due = BURST + int((time.monotonic() - started) * RATE)
                if not ending.is_set() and due > load.sent:
                    more = {str(n): _tensors(n) for n in range(load.sent, due)}
                    client.enqueue_many("slow", more, timeout_s=PATIENCE_S)
                    load.sent = due
                for name, outcome in client.dequeue(timeout_s=1 / RATE).items():
                    load.note(name, outcome)

    return drive


def by_gateway(
    connect: Callable[[], AsyncClient],
) -> Callable[[Load, threading.Event], None]:
    """Send through the gateway, each request in a task of its own."""

    async def one(client: AsyncClient, load: Load, number: int) -> None:
        result = await client.infer("slow", tensors=_tensors(number), timeout_s=PATIENCE_S)
        load.note(str(number), result)

    async def run(load: Load, ending: threading.Event) -> None:
        async with connect() as client, asyncio.TaskGroup() as tasks:
            await client.verify()
            while not ending.is_set():
                for _ in range(max(1, BURST - load.sent)):
                    tasks.create_task(one(client, load, load.sent))
                    load.sent += 1
                await asyncio.sleep(1 / RATE)

    return lambda load, ending: asyncio.run(run(load, ending))


def is_whole(status: dict[str, Any]) -> bool:
    """Say whether both workers serve the model and nothing is owed."""
    workers = [each for part in status["components"] for each in part.get("workers", ())]
    ready = [each for each in workers if each["ready"] and each["models"]]
    queue = status["queue"]
    return bool(status["ready"] and len(ready) >= 2 and not queue["waiting"] + queue["in_work"])
