"""Host: the engine of one machine: keeps N workers up, feeds them, ends without leaving any."""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from sealflow.errors import ConfigError, UnavailableError, WorkerGoneError
from sealflow.host.broker.redis_streams import RedisStreams
from sealflow.host.config import read_file
from sealflow.host.enclaves import enclave_command
from sealflow.host.engine.step import Step
from sealflow.host.engine.worker import Worker
from sealflow.host.relay import Relay
from sealflow.host.usage import cpu_s, rss_bytes
from sealflow.wire.queueing import Keyspace

if TYPE_CHECKING:
    from sealflow.host.engine.config import EngineConfig

_log = structlog.get_logger()

STATUS_TTL_MS: Final = 10_000
_ROUND_S: Final = 1.0
_STATUS_S: Final = 2.0
_FIRST_PAUSE_S: Final = 0.5
_MAX_PAUSE_S: Final = 15.0
_HEALTHY_S: Final = 30.0
_FINISH_S: Final = 10.0
_HOPELESS: Final = ("boot", "deployment", "tee", "key_broker_untrusted", "not_approved")
_HOPELESS_STARTS: Final = 3


class _Slot:
    """A place for a worker, whichever process fills it now."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.worker: Worker | None = None
        self.started_s = 0.0
        self.due_s = 0.0
        self.pause_s = _FIRST_PAUSE_S
        self.restarts = -1
        self.hopeless = 0


class LocalEngine:
    """Runs on the main thread until told to stop."""

    def __init__(self, config: EngineConfig) -> None:
        """Prepare; nothing is started yet.

        Raises: ConfigError.
        """
        self._config = config
        self._keyspace = Keyspace(deployment=config.deployment)
        self._broker = RedisStreams(config.broker_url, reply_ttl_ms=int(config.reply_ttl_s * 1000))
        self._instance = config.instance or secrets.token_hex(8)
        self._command = enclave_command(config, "worker")
        self._boot = self._boot_settings()
        self._wake = threading.Event()
        self._stopping = False
        self._directory = b""
        self._slots = [
            _Slot(Step(self._broker, self._keyspace.requests, f"{self._instance}-{n}", config))
            for n in range(config.worker_count)
        ]

    def stop(self) -> None:
        """Ask `run` to drain and return; from a signal handler."""
        self._stopping = True
        self._wake.set()

    def run(self) -> None:
        """Serve until stopped.

        Raises: ConfigError when workers end again and again for a reason that stays.
        """
        try:
            status_at = 0.0
            while not self._stopping:
                self._keep_workers()
                self._tick()
                if time.monotonic() >= status_at:
                    self._report()
                    status_at = time.monotonic() + _STATUS_S
                self._wake.wait(_ROUND_S)
                self._wake.clear()
            self._drain()
        finally:
            self._end_workers()
            self._withdraw()

    def _keep_workers(self) -> None:
        now_s = time.monotonic()
        for slot in self._slots:
            if slot.worker is not None and slot.worker.ended:
                self._bury(slot, slot.worker, now_s)
            if slot.worker is None and now_s >= slot.due_s:
                self._start(slot, now_s)

    def _start(self, slot: _Slot, now_s: float) -> None:
        logs = self._config.logs_dir
        slot.worker = worker = Worker(
            slot.step,
            self._broker,
            Relay(self._command, None if logs is None else Path(logs) / "worker.log"),
            control=self._keyspace.control,
            packages=Path(self._config.packages_dir),
            on_change=self._wake.set,
        )
        slot.started_s = now_s
        slot.restarts += 1
        boot = {**self._boot, "now_ms": _now_ms()}
        try:
            worker.start(json.dumps(boot).encode())
            worker.tick(_now_ms(), self._directory)
        except WorkerGoneError as error:
            _log.error("worker", error=str(error))

    def _bury(self, slot: _Slot, worker: Worker, now_s: float) -> None:
        worker.finish(_FINISH_S)
        slot.worker = None
        slot.step.worker_ended()
        if now_s - slot.started_s > _HEALTHY_S:
            slot.pause_s, slot.hopeless = _FIRST_PAUSE_S, 0
        slot.hopeless = slot.hopeless + 1 if worker.fatal in _HOPELESS else 0
        if slot.hopeless >= _HOPELESS_STARTS:
            raise ConfigError(f"workers cannot serve this deployment: {_MEANING[worker.fatal]}")
        slot.due_s = now_s + slot.pause_s
        _log.warning("worker ended", reason=worker.fatal, next_in_s=slot.pause_s)
        slot.pause_s = min(slot.pause_s * 2, _MAX_PAUSE_S)

    def _tick(self) -> None:
        try:
            found = self._broker.value(self._keyspace.directory) or b""
        except UnavailableError:
            found = self._directory
        news = found if found != self._directory else b""
        self._directory = found
        now_ms = _now_ms()
        for slot in self._slots:
            if slot.worker is not None:
                slot.worker.tick(now_ms, news)

    def _report(self) -> None:
        workers = [
            {**slot.worker.status(), "restarts": slot.restarts}
            for slot in self._slots
            if slot.worker is not None
        ]
        pid = os.getpid()
        status = {
            "component": "engine",
            "instance": self._instance,
            "pid": pid,
            "cpu_s": round(cpu_s(pid), 2),
            "rss_bytes": rss_bytes(pid),
            "workers": workers,
        }
        key = self._keyspace.status("engine", self._instance)
        try:
            self._broker.set_value(key, json.dumps(status).encode(), ttl_ms=STATUS_TTL_MS)
        except UnavailableError as error:
            _log.warning("the broker is away", error=str(error))

    def _drain(self) -> None:
        _log.info("draining")
        workers = [slot.worker for slot in self._slots if slot.worker is not None]
        for worker in workers:
            worker.drain()
        until = time.monotonic() + self._config.drain_s
        while time.monotonic() < until and any(slot.step.in_work for slot in self._slots):
            for slot in self._slots:
                slot.step.save()
            if all(worker.ended for worker in workers):
                break
            time.sleep(0.05)

    def _end_workers(self) -> None:
        # All at once: closing inputs one after the other would add their times up.
        workers = [slot.worker for slot in self._slots if slot.worker is not None]
        threads = [threading.Thread(target=worker.finish, args=(_FINISH_S,)) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _withdraw(self) -> None:
        try:
            self._broker.delete(self._keyspace.status("engine", self._instance))
        except UnavailableError:
            # Its time to live deletes it.
            return
        finally:
            self._broker.close()

    def _boot_settings(self) -> dict[str, object]:
        config = self._config
        platform = config.simulated_platform_file
        settings = read_file(config.deployment_file, "deployment_file")
        simulated = None if platform is None else read_file(platform, "simulated_platform_file")
        return {
            "deployment": b64encode(settings).decode(),
            "simulated_platform": None if simulated is None else b64encode(simulated).decode(),
            "runtime": config.runtime,
            "threads": config.threads,
            "max_batch": config.max_batch,
            "max_wait_ms": config.max_wait_ms,
            "max_body_bytes": config.max_body_bytes,
            "max_pixels": config.max_pixels,
            "replay_capacity": config.replay_capacity,
        }


_MEANING: Final[dict[str | None, str]] = {
    "boot": "they do not understand this engine: install the same version of both",
    "deployment": "deployment_file is damaged or contradicts itself",
    "tee": "the TEE that deployment_file asks for is not on this machine",
    "key_broker_untrusted": "the key broker does not pass the policy in deployment_file",
    "not_approved": "the key broker's policy does not accept their code: see deployment_file",
}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
