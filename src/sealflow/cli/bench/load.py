"""CLI: drive a load onto a service, by the queue or by the gateway, closed or open loop."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealflow.cli.bench.report import LatencySample
from sealflow.errors import SealflowError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealflow.cli.bench.inputs import BenchInputs
    from sealflow.owner.client.async_client import AsyncClient
    from sealflow.owner.client.result import InferResult
    from sealflow.owner.queue.client import QueueClient

TIMEOUT_S: Final = 300.0
_PUSH: Final = 32
_TAKE_S: Final = 1.0


@dataclass(slots=True, kw_only=True)
class BenchRun:
    """What came of a load: one sample for each right answer, one line for each wrong one."""

    samples: list[LatencySample] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    push_seconds: float = 0.0
    seconds: float = 0.0

    def record_outcome(
        self,
        work: BenchInputs,
        index: int,
        value: InferResult | SealflowError,
        sample: LatencySample,
    ) -> None:
        """Judge one outcome."""
        if index in self.seen:
            self.wrong.append(f"request {index} was answered twice")
            return
        self.seen.add(index)
        if isinstance(value, SealflowError):
            self.wrong.append(f"request {index}: {value}")
            return
        problem = work.check(index, value)
        if problem is not None:
            self.wrong.append(problem)
        else:
            self.samples.append(sample)


def by_queue(
    queue: QueueClient, work: BenchInputs, count: int, rate: float, advance: Callable[[int], None]
) -> BenchRun:
    """Push all, pull all, straight on the stream; `rate`: requests a second, 0 is at once."""
    run, sent_s = BenchRun(), {}
    begin = time.perf_counter()
    pushed = 0
    while len(run.seen) < count:
        now_s = time.perf_counter() - begin
        due = count if rate == 0 else min(count, int(now_s * rate) + 1)
        if pushed < due:
            batch = range(pushed, min(due, pushed + _PUSH))
            for index in batch:
                sent_s[index] = index / rate if rate else time.perf_counter() - begin
            items = {str(index): work.item(index) for index in batch}
            queue.enqueue_many(work.model, items, top_k=work.top_k, timeout_s=TIMEOUT_S)
            pushed = batch.stop
            if pushed == count:
                run.push_seconds = time.perf_counter() - begin
            # In an open loop, a late sender must not keep answers waiting, too.
            if pushed < due and not rate:
                continue
        wait_s = _TAKE_S if pushed == count or not rate else max(pushed / rate - now_s, 0.0)
        for name, value in queue.dequeue(timeout_s=min(wait_s, _TAKE_S)).items():
            index = int(name)
            done_s = time.perf_counter() - begin
            run.record_outcome(
                work, index, value, LatencySample(sent_s=sent_s[index], done_s=done_s)
            )
        advance(len(run.seen))
    run.seconds = time.perf_counter() - begin
    return run


async def by_gateway(
    client: AsyncClient,
    work: BenchInputs,
    count: int,
    concurrency: int,
    rate: float,
    advance: Callable[[int], None],
) -> BenchRun:
    """Send through the gateway, `concurrency` at a time, or each at its time with a `rate`."""
    run = BenchRun()
    begin = time.perf_counter()
    free = asyncio.Semaphore(concurrency)

    async def one(index: int, due_s: float) -> None:
        item = work.item(index)
        is_image = isinstance(item, bytes)
        value: InferResult | SealflowError
        try:
            value = await client.infer(
                work.model,
                image=item if is_image else None,
                tensors=None if is_image else item,
                top_k=work.top_k,
                timeout_s=TIMEOUT_S,
            )
        except SealflowError as error:
            value = error
        run.record_outcome(
            work, index, value, LatencySample(sent_s=due_s, done_s=time.perf_counter() - begin)
        )
        advance(len(run.seen))
        if not rate:
            free.release()

    async with asyncio.TaskGroup() as tasks:
        for index in range(count):
            if rate:
                due_s = index / rate
                await asyncio.sleep(max(due_s - (time.perf_counter() - begin), 0.0))
            else:
                await free.acquire()
                due_s = time.perf_counter() - begin
            tasks.create_task(one(index, due_s))
        run.push_seconds = time.perf_counter() - begin
    run.seconds = time.perf_counter() - begin
    return run
