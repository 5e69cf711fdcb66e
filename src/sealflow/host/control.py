"""Host: the key broker's host: carries control requests in and answers out, publishes directories.

`python -m sealflow.host.control CONFIG.toml`
"""

from __future__ import annotations

import json
import os
import queue
import secrets
import signal
import sys
import threading
import time
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from sealflow.errors import ConfigError, SealflowError, UnavailableError, WorkerGoneError
from sealflow.host.broker.connecting import require_access
from sealflow.host.broker.redis_streams import RedisStreams
from sealflow.host.config import load, read_file
from sealflow.host.enclaves import EnclaveConfig, enclave_command
from sealflow.host.logs import configure_logs
from sealflow.host.relay import Relay
from sealflow.host.usage import cpu_s, rss_bytes
from sealflow.wire.framing import FrameKind
from sealflow.wire.queueing import Keyspace

if TYPE_CHECKING:
    from types import FrameType

_log = structlog.get_logger()

STATUS_TTL_MS: Final = 10_000
_BLOCK_MS: Final = 1000
_PERIOD_S: Final = 2.0
_ANSWER_S: Final = 20.0
_STALE_MS: Final = 30_000
_CLAIM: Final = 16
_EARLY_S: Final = 10.0
_EARLY_ENDS: Final = 3
_PAUSE_S: Final = 1.0
_AWAY: Final = json.dumps(
    {"error": {"code": "unavailable", "detail": "the key broker did not answer: try again"}}
).encode()


class ControlConfig(EnclaveConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the key broker's host reads."""

    deployment: str
    logs_dir: str | None = None


class Control:
    """Runs on the main thread until told to stop; a second thread reads from the key broker."""

    def __init__(self, config: ControlConfig) -> None:
        """Prepare; nothing is started yet.

        Raises: ConfigError.
        """
        self._config = config
        self._keyspace = Keyspace(deployment=config.deployment)
        self._broker = RedisStreams(config.broker)
        self._instance = secrets.token_hex(8)
        platform = config.simulated_platform_file
        simulated = None if platform is None else read_file(platform, "simulated_platform_file")
        self._boot = {
            "deployment": b64encode(read_file(config.deployment_file, "deployment_file")).decode(),
            "simulated_platform": None if simulated is None else b64encode(simulated).decode(),
        }
        self._command = enclave_command(config, "keybroker")
        self._stopping = False
        self._relay: Relay | None = None
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._directory = b""
        self._ready = False
        self._fatal = ""
        self._served = 0

    def stop(self) -> None:
        """Ask `run` to return; from a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Serve until stopped, starting the key broker again when it ends.

        Raises: ConfigError when it ends again and again as soon as it starts.
        """
        early = 0
        try:
            while not self._stopping:
                started_s = time.monotonic()
                self._serve_once()
                if self._stopping:
                    return
                early = early + 1 if time.monotonic() - started_s < _EARLY_S else 0
                _log.error("key broker ended", reason=self._fatal)
                if early >= _EARLY_ENDS:
                    raise ConfigError(f"the key broker ends as soon as it starts: {self._fatal}")
                time.sleep(_PAUSE_S)
        finally:
            self._withdraw()

    def _serve_once(self) -> None:
        """Start a key broker and serve until it ends or this is stopped."""
        logs = self._config.logs_dir
        log = None if logs is None else Path(logs) / "keybroker.log"
        relay = self._relay = Relay(self._command, log)
        self._fatal, self._answers = "", queue.SimpleQueue()
        reader = threading.Thread(target=self._read, args=(relay, self._answers), name="read")
        try:
            boot = {**self._boot, "now_ms": _now_ms()}
            relay.send(FrameKind.BOOT, json.dumps(boot).encode())
            reader.start()
            self._serve(relay)
        except WorkerGoneError:
            pass
        finally:
            self._ready = False
            relay.wait(_PERIOD_S)
            if reader.ident is not None:
                reader.join()
            relay.release()

    def _serve(self, relay: Relay) -> None:
        stream, consumer = self._keyspace.control, self._instance
        tended_s = 0.0
        while not self._stopping:
            try:
                if time.monotonic() - tended_s >= _PERIOD_S:
                    tended_s = time.monotonic()
                    relay.send(FrameKind.TICK, _now_ms().to_bytes(8))
                    self._tend()
                deliveries = self._broker.claim(stream, consumer, _CLAIM, _BLOCK_MS)
                for delivery in deliveries:
                    answer = self._ask(relay, delivery.envelope)
                    self._broker.answer(stream, [(delivery, answer)])
                    self._served += 1
            except UnavailableError as error:
                if isinstance(error, WorkerGoneError):
                    raise
                _log.warning("the broker is away", error=str(error))
                time.sleep(_PAUSE_S)

    def _ask(self, relay: Relay, request: bytes) -> bytes:
        try:
            relay.send(FrameKind.CONTROL, request)
            answer = self._answers.get(timeout=_ANSWER_S)
        except queue.Empty:
            # An answer that came later would be taken for the next one's.
            relay.kill()
            return _AWAY
        except WorkerGoneError:
            return _AWAY
        return _AWAY if answer is None else answer

    def _read(self, relay: Relay, answers: queue.SimpleQueue[bytes | None]) -> None:
        try:
            while (frame := relay.receive()) is not None:
                kind, payload = frame
                match kind:
                    case FrameKind.CONTROL:
                        answers.put(bytes(payload))
                    case FrameKind.DIRECTORY:
                        self._directory = bytes(payload)
                        self._publish()
                    case FrameKind.READY:
                        self._ready = True
                        _log.info("key broker ready", pid=relay.pid)
                    case FrameKind.FATAL:
                        self._fatal = bytes(payload[:40]).decode(errors="replace")
                    case FrameKind.EVENT:
                        _log.info("key broker event", event_json=bytes(payload[:1000]).decode())
                    case _:
                        raise WorkerGoneError(f"a key broker sends no {kind.name}")  # noqa: TRY301
        except WorkerGoneError as error:
            _log.error("key broker", error=str(error))
        finally:
            relay.kill()
            answers.put(None)

    def _tend(self) -> None:
        """Publish again what a broker without memory lost; clear away what nobody answers."""
        self._publish()
        relay = self._relay
        pid = os.getpid()
        child = 0 if relay is None else relay.pid
        status: dict[str, Any] = {
            "component": "control",
            "instance": self._instance,
            "pid": pid,
            "cpu_s": round(cpu_s(pid), 2),
            "rss_bytes": rss_bytes(pid),
            "served": self._served,
            "keybroker": {
                "pid": child,
                "ready": self._ready,
                "cpu_s": round(cpu_s(child), 2),
                "rss_bytes": rss_bytes(child),
            },
        }
        key = self._keyspace.status("control", self._instance)
        self._broker.set_value(key, json.dumps(status).encode(), ttl_ms=STATUS_TTL_MS)
        stream = self._keyspace.control
        stale = self._broker.stale(stream, self._instance, _STALE_MS, _CLAIM)
        if stale:
            self._broker.answer(stream, [(delivery, _AWAY) for delivery in stale])

    def _publish(self) -> None:
        if self._directory:
            try:
                self._broker.set_value(self._keyspace.directory, self._directory)
            except UnavailableError as error:
                _log.warning("the directory waits for the broker", error=str(error))

    def _withdraw(self) -> None:
        try:
            self._broker.delete(self._keyspace.status("control", self._instance))
        except UnavailableError:
            # Its time to live deletes it.
            return
        finally:
            self._broker.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def main() -> None:
    """Run until SIGTERM or SIGINT; exits with 1 and the reason when it cannot do its job."""
    configure_logs()
    try:
        config = load(Path(sys.argv[1]), ControlConfig)
        require_access(config.broker)
        control = Control(config)

        def end(number: int, frame: FrameType | None) -> None:
            del number, frame
            control.stop()

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        control.run()
    except SealflowError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
