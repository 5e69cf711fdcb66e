"""Host: start, maintain, restart and end the workers of one engine, and publish its status.

Call a pool from one thread, which must live as long as the workers: the kernel kills a worker when
the thread that started it ends (`die_with_parent`).
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from sealflow.clock import now_ms
from sealflow.errors import ConfigError, UnavailableError, WorkerGoneError
from sealflow.host.broker.redis_streams import RedisStreams
from sealflow.host.broker.stream_consumer import StreamConsumer
from sealflow.host.enclave.command import FATAL_HINTS, collateral_source, enclave_command
from sealflow.host.enclave.relay import Relay
from sealflow.host.engine.delivery_tracker import DeliveryTracker, published_models
from sealflow.host.engine.owner_plan import ServedOwners, share_workers
from sealflow.host.engine.quarantine import Quarantine
from sealflow.host.engine.routing import Claimer, RequestRouter
from sealflow.host.engine.worker_process import WorkerProcess
from sealflow.host.process_status import cpu_s, rss_bytes
from sealflow.host.service import RestartPolicy
from sealflow.host.settings import read_file
from sealflow.streams.keys import Keyspace
from sealflow.wire.frame_payloads import Fatal, RuntimeName, WorkerBoot
from sealflow.wire.status import ComponentStatus

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping

    from sealflow.host.engine.config import EngineConfig
    from sealflow.host.engine.metrics import EngineMetrics

_log = structlog.get_logger()

STATUS_TTL_MS: Final = 10_000
_STATUS_S: Final = 2.0
_FINISH_S: Final = 10.0
_FATAL_WORDS: Final = (
    Fatal.BOOT,
    Fatal.DEPLOYMENT,
    Fatal.TEE,
    Fatal.NOT_DCAP,
    Fatal.KEY_BROKER_UNTRUSTED,
    Fatal.NOT_APPROVED,
)
_NOT_A_MODELS: Final = (
    *_FATAL_WORDS,
    Fatal.QUOTE,
    Fatal.COLLATERAL,
    Fatal.KEY_BROKER_ROLLED_BACK,
    Fatal.FRAME,
)
"""Reasons of an end that no model causes."""
MAX_LOAD_FIRST: Final = 256


class _PoolSlot:
    """A place in the pool, with its current worker process and its restart policy.

    `leaves_s`: since when the process is ending because its place is needed; None if it is not.
    """

    def __init__(self, tracker: DeliveryTracker, *, feeding: bool) -> None:
        self.tracker = tracker
        self.feeding = feeding
        self.worker: WorkerProcess | None = None
        self.leaves_s: float | None = None
        self.due_s = 0.0
        self.policy = RestartPolicy()


class WorkerPool:
    """The workers of an engine, which are restarted when they end.

    Each process has the models of one owner. There are `count` of them, or one for each owner if
    those are more.
    """

    def __init__(self, config: EngineConfig, *, count: int, feeding: bool) -> None:
        """Prepare `count` places; the first call of `maintain` starts the workers.

        `feeding`: whether the first worker has a thread that feeds it, as all others have;
        otherwise `feed_first` must be called repeatedly.

        Raises: ConfigError.
        """
        self._config = config
        self._keyspace = Keyspace(deployment=config.deployment)
        self._broker = RedisStreams(config.broker, reply_ttl_ms=int(config.reply_ttl_s * 1000))
        self._instance = config.instance or secrets.token_hex(8)
        self._feeding = feeding
        self._command = enclave_command(config, "worker")
        self._collateral = collateral_source(config)
        self._boot = self._boot_settings()
        self._wake = threading.Event()
        self._directory = b""
        self._status_due_s = 0.0
        self._queue_lag = 0
        self._count = count
        self._owners: Mapping[str, str] = {}
        self._served = ServedOwners(config.owner_count)
        self._quarantine = Quarantine(self._broker, self._keyspace.quarantine)
        self._router = RequestRouter(self._quarantine)
        self._claimer = Claimer(self._consumer("all"), config, self._router)
        self._slots: list[_PoolSlot] = []
        for _ in range(count):
            self._add_slot()

    def maintain(self) -> None:
        """Start due workers, reap ended ones, send the clock tick, publish the status every 2 s.

        Raises: ConfigError when a worker failed three times in a row for a lasting reason.
        """
        now_s = time.monotonic()
        for slot in self._slots:
            if slot.worker is not None and slot.worker.ended:
                self._reap(slot, slot.worker, now_s)
        self._assign(now_s)
        self._tick()
        if now_s >= self._status_due_s:
            self._report()
            self._status_due_s = now_s + _STATUS_S

    def feed_first(self, for_s: float) -> None:
        """Feed the first worker for `for_s` seconds; if there is none, `wait` instead."""
        worker = self._slots[0].worker
        if worker is None:
            self.wait(for_s)
        else:
            worker.feed(for_s)

    @property
    def ready(self) -> bool:
        """Whether the first worker has loaded a model."""
        worker = self._slots[0].worker
        return worker is not None and worker.ready

    @property
    def metrics(self) -> EngineMetrics:
        """The metrics of the first place, over all its workers."""
        return self._slots[0].tracker.metrics

    @property
    def in_work(self) -> int:
        """The number of unacknowledged requests."""
        waiting = len(self._router.waiting)
        return waiting + sum(slot.tracker.in_work for slot in self._slots)

    @property
    def quarantined(self) -> int:
        """The number of models that are quarantined now."""
        return len(self._quarantine.to_status())

    @property
    def restarts(self) -> int:
        """The number of restarts of all workers."""
        return sum(max(slot.policy.restarts, 0) for slot in self._slots)

    @property
    def queue_lag(self) -> int:
        """The number of unclaimed requests in the queue, when the status was last published."""
        return self._queue_lag

    def wait(self, timeout_s: float) -> None:
        """Wait for `timeout_s`, or until a worker becomes ready or ends or `wake` is called."""
        self._wake.wait(timeout_s)
        self._wake.clear()

    def wake(self) -> None:
        """End `wait`. Any thread and signal handlers may call it."""
        self._wake.set()

    def drain(self) -> None:
        """Stop claiming requests, and wait up to `drain_s` until those in flight are answered."""
        _log.info("draining")
        self._claimer.stop()
        workers = [slot.worker for slot in self._slots if slot.worker is not None]
        for worker in workers:
            worker.drain()
        until = time.monotonic() + self._config.drain_s
        while time.monotonic() < until and any(slot.tracker.in_work for slot in self._slots):
            for slot in self._slots:
                slot.tracker.flush()
            if all(worker.ended for worker in workers):
                break
            time.sleep(0.05)

    def end(self) -> None:
        """End all workers, by force after 10 s, and withdraw the status."""
        # End them at the same time, so that their times do not add up.
        workers = [slot.worker for slot in self._slots if slot.worker is not None]
        threads = [threading.Thread(target=worker.finish, args=(_FINISH_S,)) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        try:
            self._broker.delete(self._keyspace.status("engine", self._instance))
        except UnavailableError:
            # The status expires by itself.
            return
        finally:
            self._broker.close()

    def _consumer(self, name: str) -> StreamConsumer:
        stream, name = self._keyspace.requests, f"{self._instance}-{name}"
        return StreamConsumer(broker=self._broker, stream=stream, name=name)

    def _add_slot(self) -> None:
        consumer = self._consumer(str(len(self._slots)))
        tracker = DeliveryTracker(consumer, self._config, self._router)
        tracker.published = self._owners
        # The caller feeds the first one only, if any.
        self._slots.append(_PoolSlot(tracker, feeding=self._feeding or bool(self._slots)))

    def _assign(self, now_s: float) -> None:
        """Start, bind and end processes so that each owner has its share of them."""
        busy = {slot.tracker.owner for slot in self._slots if slot.tracker.in_work}
        busy_owners = {owner for owner in busy if owner is not None}
        published = dict.fromkeys(self._owners.values())
        served = self._served.update(published, self._router.owners_in_demand(), busy_owners, now_s)
        missing = share_workers(served, self._count)
        while len(self._slots) < missing.total():
            self._add_slot()
            self._limit_memory()
        free = [slot for slot in self._slots if not self._keeps_its_place(slot, missing)]
        for slot in free:
            owner = next(iter(missing.elements()), None)
            if not missing.total():
                self._leave(slot, now_s)
            elif slot.worker is None:
                if now_s >= slot.due_s:
                    slot.tracker.owner = owner
                    self._start(slot, now_s)
                missing.subtract([owner])
            elif slot.tracker.owner is None and owner is not None:
                slot.tracker.owner = owner
                slot.worker.serve(owner)
                missing.subtract([owner])
            else:
                self._leave(slot, now_s)
                # Its place is the owner's when it has ended.
                missing.subtract([owner])

    def _keeps_its_place(self, slot: _PoolSlot, missing: Counter[str | None]) -> bool:
        if slot.worker is None or slot.leaves_s is not None or not missing[slot.tracker.owner]:
            return False
        missing.subtract([slot.tracker.owner])
        return True

    def _leave(self, slot: _PoolSlot, now_s: float) -> None:
        """Have a process answer its requests and end, by force after `drain_s`."""
        if slot.worker is None:
            return
        if slot.leaves_s is None:
            slot.leaves_s = now_s
            slot.worker.drain()
        elif not slot.tracker.in_work:
            slot.worker.close_input()
        if now_s - slot.leaves_s > self._config.drain_s:
            slot.worker.kill()

    def _limit_memory(self) -> None:
        limit = self._config.worker_limit_bytes(len(self._slots))
        for slot in self._slots:
            if slot.worker is not None:
                slot.worker.limit_memory(limit)

    def _start(self, slot: _PoolSlot, now_s: float) -> None:
        logs = self._config.logs_dir
        slot.worker = worker = WorkerProcess(
            slot.tracker,
            self._broker,
            Relay(
                self._command,
                None if logs is None else Path(logs) / "worker.log",
                memory_bytes=self._config.worker_limit_bytes(len(self._slots)),
            ),
            self._config,
            self._collateral,
            self._quarantine,
            feeding=slot.feeding,
            on_change=self._wake.set,
        )
        slot.policy.record_start(now_s)
        boot = replace(
            self._boot,
            now_ms=now_ms(),
            serves=slot.tracker.owner,
            load_first=self._quarantine.worked[:MAX_LOAD_FIRST],
        )
        try:
            worker.start(boot.to_bytes())
            worker.tick(now_ms(), self._directory)
        except WorkerGoneError as error:
            _log.error("worker failed", error=str(error))

    def _reap(self, slot: _PoolSlot, worker: WorkerProcess, now_s: float) -> None:
        worker.finish(_FINISH_S)
        slot.worker, left, slot.leaves_s = None, slot.leaves_s, None
        if left is None:
            self._blame(slot, worker)
        slot.tracker.worker_ended()
        if self._router.divided:
            slot.tracker.give_back()
        if left is not None:
            return
        due_s = slot.policy.next_start_s(now_s, failed=worker.fatal in _FATAL_WORDS)
        if due_s is None:
            raise ConfigError(f"workers cannot serve this deployment: {_FATAL_HINTS[worker.fatal]}")
        slot.due_s = due_s
        _log.warning("worker ended", reason=worker.fatal, next_in_s=due_s - now_s)

    def _blame(self, slot: _PoolSlot, worker: WorkerProcess) -> None:
        """Count a failure of the model that ended a process: the one in load, or the only one."""
        if worker.fatal in _NOT_A_MODELS or worker.killed:
            return
        suspects = slot.tracker.requested if worker.loading is None else {worker.loading}
        if len(suspects) == 1 and (digest := next(iter(suspects))) is not None:
            what = "a run" if worker.loading is None else "its load"
            self._quarantine.record_failure(digest, f"{what} ended the process")

    def _tick(self) -> None:
        try:
            found = self._broker.get(self._keyspace.directory) or b""
        except UnavailableError:
            found = self._directory
        changed = found if found != self._directory else b""
        self._directory = found
        if changed:
            self._owners = published_models(changed)
            self._router.update(self._owners)
            for slot in self._slots:
                slot.tracker.published = self._owners
        if self._router.divided:
            self._claimer.start_once()
        time_ms = now_ms()
        for slot in self._slots:
            if slot.worker is not None:
                slot.worker.tick(time_ms, changed)

    def _report(self) -> None:
        pid = os.getpid()
        status = ComponentStatus(
            component="engine",
            instance=self._instance,
            pid=pid,
            cpu_s=round(cpu_s(pid), 2),
            rss_bytes=rss_bytes(pid),
            workers=tuple(
                slot.worker.status(restarts=slot.policy.restarts)
                for slot in self._slots
                if slot.worker is not None
            ),
            quarantine=self._quarantine.to_status(),
        )
        key = self._keyspace.status("engine", self._instance)
        try:
            self._quarantine.refresh()
            self._queue_lag = self._broker.depth(self._keyspace.requests).waiting
            self._broker.set(key, json.dumps(status.to_json()).encode(), ttl_ms=STATUS_TTL_MS)
        except UnavailableError as error:
            _log.warning("the broker is unavailable", error=str(error))

    def _boot_settings(self) -> WorkerBoot:
        config = self._config
        platform = config.simulated_platform_file
        return WorkerBoot(
            deployment=read_file(config.deployment_file, "deployment_file"),
            simulated_platform=None
            if platform is None
            else read_file(platform, "simulated_platform_file"),
            now_ms=0,
            runtime=None if config.runtime == "auto" else RuntimeName(config.runtime),
            threads=config.threads,
            max_batch=config.max_batch,
            max_wait_ms=config.max_wait_ms,
            max_body_bytes=config.max_body_bytes,
            max_pixels=config.max_pixels,
            replay_capacity=config.replay_capacity,
            load_s=config.load_s,
            run_s=config.run_s,
        )


_FATAL_HINTS: Final[dict[str | None, str]] = {
    **FATAL_HINTS,
    Fatal.KEY_BROKER_UNTRUSTED: "the key broker does not pass the policy in deployment_file",
    Fatal.NOT_APPROVED: "the key broker's policy does not accept their code: see deployment_file",
}
