"""Host: run one worker process: feed it from the queue, and process the frames that it sends."""

from __future__ import annotations

import json
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from sealflow.clock import now_ms
from sealflow.errors import MalformedError, QueueFullError, UnavailableError, WorkerGoneError
from sealflow.host.collateral.service import CollateralService
from sealflow.host.process_status import cpu_s, rss_bytes
from sealflow.host.settings import DAMAGED_SUFFIX, package_path
from sealflow.streams.keys import HOSTS_CONTROL_CAPACITY, Keyspace
from sealflow.wire.frame_payloads import Event, LoadedModel, WorkerReady, tick_payload
from sealflow.wire.frames import FrameKind, decode_batch, encode_batch, encode_chunk
from sealflow.wire.ids import parse_digest
from sealflow.wire.status import WorkerStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealflow.host.broker.redis_streams import RedisStreams
    from sealflow.host.collateral.source import CollateralSource
    from sealflow.host.enclave.relay import Relay
    from sealflow.host.engine.config import EngineConfig
    from sealflow.host.engine.delivery_tracker import DeliveryTracker
    from sealflow.host.engine.quarantine import Quarantine

_log = structlog.get_logger()

CONTROL_TIMEOUT_S: Final = 10.0
_CHUNK_BYTES: Final = 2**20
_FEED_S: Final = 1.0
_END_CHECK_S: Final = 0.5
_GATHER_S: Final = 0.001
_UNAVAILABLE_PAUSE_S: Final = 0.5
_DIGEST_BYTES: Final = 32
_KILLED: Final = (-signal.SIGKILL, -signal.SIGTERM)


class WorkerProcess:
    """A worker process from start to end, with the threads that feed it and read from it."""

    def __init__(  # noqa: PLR0913 - the parts of a worker's host meet here
        self,
        tracker: DeliveryTracker,
        broker: RedisStreams,
        relay: Relay,
        config: EngineConfig,
        collateral: CollateralSource | None,
        quarantine: Quarantine,
        *,
        feeding: bool,
        on_change: Callable[[], None],
    ) -> None:
        """Take over the process that `relay` has started.

        `tracker`: the entries that the process is fed with. `collateral`: the source of collateral,
        if any. `quarantine`: the models that the process does not get. `feeding`: whether a thread
        feeds it; otherwise the caller must call `feed` repeatedly. `on_change`: called when the
        process becomes ready, changes its models, or ends.
        """
        self._tracker = tracker
        self._broker = broker
        self._control = Keyspace(deployment=config.deployment).control
        self._packages = Path(config.packages_dir)
        self._on_change = on_change
        self._relay = relay
        self._collateral = CollateralService(
            collateral, lambda content: relay.send(FrameKind.COLLATERAL, content)
        )
        self._ready = threading.Event()
        self._draining = threading.Event()
        self._ended = threading.Event()
        self._simulated: bool | None = None
        self._models: tuple[LoadedModel, ...] = ()
        self._quarantine = quarantine
        self._unsent_directory = b""
        self._exit_code: int | None = None
        self.loading: str | None = None
        self.fatal: str | None = None
        # Daemon threads do not delay the exit of this process, which makes the kernel kill the
        # worker.
        self._threads = [
            threading.Thread(target=self._read, name=f"read-{self._relay.pid}", daemon=True)
        ]
        if feeding:
            self._threads.append(
                threading.Thread(target=self._feed, name=f"feed-{self._relay.pid}", daemon=True)
            )

    def start(self, boot: bytes) -> None:
        """Send the BOOT frame with payload `boot`, and start the threads.

        Raises: WorkerGoneError.
        """
        self._relay.send(FrameKind.BOOT, boot)
        for thread in self._threads:
            thread.start()

    @property
    def ready(self) -> bool:
        """Whether the worker has loaded a model."""
        return self._ready.is_set()

    @property
    def ended(self) -> bool:
        """Whether the process has closed its frame pipe."""
        return self._ended.is_set()

    def tick(self, now_ms: int, directory: bytes) -> None:
        """Send the clock tick, and the directory if it is not empty.

        Ends quietly when the process has ended. A process that takes nothing gets the next tick.
        """
        self._unsent_directory = directory or self._unsent_directory
        payload = tick_payload(now_ms, self._unsent_directory)
        if not self._relay.has_room(len(payload)):
            return
        try:
            self._relay.send(FrameKind.TICK, payload)
            self._unsent_directory = b""
            self._collateral.refresh_if_due()
        except WorkerGoneError:
            self._ended.wait(1.0)

    def serve(self, owner: str) -> None:
        """Have the process ask for an owner's models; ends quietly when it has ended."""
        try:
            self._relay.send(FrameKind.SERVE, bytes.fromhex(owner))
        except WorkerGoneError:
            return

    def limit_memory(self, memory_bytes: int) -> None:
        """Lower the process's limit on private memory; 0 leaves it."""
        self._relay.limit_memory(memory_bytes)

    def drain(self) -> None:
        """Stop claiming requests."""
        self._draining.set()

    def close_input(self) -> None:
        """Have the process answer its requests and exit."""
        self._draining.set()
        self._relay.close_input()

    @property
    def killed(self) -> bool:
        """Whether somebody killed the process, not itself, nor this host as it hung."""
        return self._exit_code in _KILLED and not self._relay.stuck

    def finish(self, within_s: float) -> None:
        """Close the worker's input, so that it answers its requests and exits.

        The worker is killed after `within_s`. Its threads are joined.
        """
        self._draining.set()
        self._exit_code = self._relay.wait(within_s)
        for thread in self._threads:
            if thread.is_alive():
                thread.join(within_s)
        self._relay.release()

    def kill(self) -> None:
        """Kill the process at once."""
        self._relay.kill()

    def status(self, *, restarts: int) -> WorkerStatus:
        """Return this worker's part of the engine's status."""
        pid, metrics = self._relay.pid, self._tracker.metrics
        return WorkerStatus(
            pid=pid,
            ready=self.ready,
            simulated=self._simulated,
            models=self._models,
            in_flight=self._tracker.in_work,
            served=self._tracker.served,
            refused=metrics.refusals,
            round_trip_ms={str(each): metrics.round_trip_ms(each) for each in (50, 99)},
            cpu_s=round(cpu_s(pid), 2),
            rss_bytes=rss_bytes(pid),
            restarts=restarts,
            serves=self._tracker.owner,
        )

    @property
    def over(self) -> bool:
        """Whether no more requests are sent to the worker, because it drains or has ended."""
        return self._ended.is_set() or self._draining.is_set()

    def feed(self, for_s: float) -> None:
        """Claim requests and send them to the worker for `for_s` seconds or until it is `over`."""
        until_s = time.monotonic() + for_s
        while not self.over and (rest_s := until_s - time.monotonic()) > 0:
            # Waits are short, since the end of the worker does not interrupt them.
            if not self._ready.wait(min(rest_s, _END_CHECK_S)):
                continue
            try:
                if self._tracker.wait_for_room(min(rest_s, _END_CHECK_S)):
                    self._send_batch(self._tracker.next_batch(max(1, int(rest_s * 1000))))
            except WorkerGoneError:
                return
            except UnavailableError as error:
                _log.warning("the broker is unavailable", error=str(error))
                self._ended.wait(_UNAVAILABLE_PAUSE_S)
                self._tracker.flush()

    def _feed(self) -> None:
        while not self.over:
            self.feed(_FEED_S)

    def _send_batch(self, items: list[tuple[int, bytes]]) -> None:
        if items:
            self._relay.send(FrameKind.BATCH, encode_batch(now_ms(), items))
            if self._tracker.in_work > len(items):
                # The worker is busy: wait 1 ms so that the next requests are sent together.
                self._ended.wait(_GATHER_S)

    def _read(self) -> None:
        try:
            while (frame := self._relay.receive()) is not None:
                self._process_frame(*frame)
        except (WorkerGoneError, MalformedError) as error:
            _log.error("worker failed", pid=self._relay.pid, error=str(error))
        finally:
            # After an error the frames are out of step, so the process is of no further use.
            self._relay.kill()
            self._ready.clear()
            self._ended.set()
            self._on_change()

    def _process_frame(self, kind: FrameKind, payload: memoryview) -> None:
        match kind:
            case FrameKind.REPLIES:
                _, items = decode_batch(payload)
                self._tracker.accept_replies([(slot, bytes(reply)) for slot, reply in items])
            case FrameKind.READY:
                ready = WorkerReady.from_bytes(payload)
                self._simulated, self._models = ready.simulated, ready.models
                if ready.models:
                    self._ready.set()
                else:
                    self._ready.clear()
                names = [f"{each.name}:{each.version}" for each in ready.models]
                _log.info("worker ready", pid=self._relay.pid, models=names)
                self._on_change()
            case FrameKind.CONTROL:
                self._start_thread(self._ask_key_broker, bytes(payload))
            case FrameKind.WANT:
                self._start_thread(self._send_package, bytes(payload))
            case FrameKind.COLLATERAL:
                self._collateral.answer_request(bytes(payload))
            case FrameKind.EVENT:
                event = _event(payload)
                self._note_event(event.get("enclave_event"), event.get("enclave_digest"))
                _log.info("worker event", pid=self._relay.pid, **event)
                if event.get("enclave_event") == Event.PACKAGE_DAMAGED:
                    self._move_package_aside(str(event.get("enclave_digest")))
            case FrameKind.FATAL:
                self.fatal = bytes(payload[:40]).decode(errors="replace")
                _log.error("worker ends", pid=self._relay.pid, reason=self.fatal)
            case _:
                raise MalformedError(f"a worker does not send {kind.name} frames")

    def _note_event(self, event: object, digest: object) -> None:
        if not isinstance(digest, str):
            return
        match event:
            case Event.MODEL_LOADING:
                self.loading = digest
            case Event.MODEL_LOADED:
                self.loading = None
                self._quarantine.record_loaded(digest)
            case Event.PACKAGE_REFUSED:
                self.loading = None
            case Event.MODEL_STOPPED:
                self._quarantine.record_failure(digest, "a load or run took too long")
            case _:
                return

    def _start_thread(self, function: Callable[[bytes], None], argument: bytes) -> None:
        """Call a slow function on a thread of its own, so that the reading thread goes on.

        A worker sends one such request at a time, so there is one such thread.
        """

        def run() -> None:
            try:
                function(argument)
            except WorkerGoneError:
                return

        threading.Thread(target=run, name="worker-request", daemon=True).start()

    def _ask_key_broker(self, request: bytes) -> None:
        try:
            answer = self._broker.ask(
                self._control, request, capacity=HOSTS_CONTROL_CAPACITY, timeout_s=CONTROL_TIMEOUT_S
            )
        except (UnavailableError, QueueFullError) as error:
            _log.warning("the key broker cannot be reached", error=str(error))
            answer = None
        self._relay.send(FrameKind.CONTROL, answer or b"")

    def _move_package_aside(self, digest: str) -> None:
        """Take away a file that is not its owner's package, so that the next upload counts."""
        try:
            path = package_path(self._packages, parse_digest(digest))
            path.rename(path.with_suffix(DAMAGED_SUFFIX))
        except (MalformedError, OSError) as error:
            _log.warning("the damaged package stays: upload it again", error=str(error))
        else:
            _log.error("a damaged package was moved aside: upload it again", digest=digest)

    def _send_package(self, digest: bytes) -> None:
        path = package_path(self._packages, digest.hex())
        absent = encode_chunk(digest[:_DIGEST_BYTES].ljust(_DIGEST_BYTES, b"\0"), 0, 0, b"")
        try:
            if self._quarantine.holds(digest.hex()):
                self._relay.send(FrameKind.PACKAGE, absent)
                return
            with path.open("rb") as file:
                total = path.stat().st_size
                for offset in range(0, total, _CHUNK_BYTES):
                    piece = file.read(_CHUNK_BYTES)
                    chunk = encode_chunk(digest, offset, total, piece)
                    self._relay.send(FrameKind.PACKAGE, chunk)
            if total == 0:
                self._relay.send(FrameKind.PACKAGE, absent)
        except OSError as error:
            _log.error("package cannot be read", path=str(path), error=str(error))
            self._relay.send(FrameKind.PACKAGE, absent)


def _event(payload: memoryview) -> dict[str, Any]:
    try:
        value = json.loads(bytes(payload[:4096]))
    except ValueError:
        return {}
    if not isinstance(value, dict):
        return {}
    return {f"enclave_{key}": item for key, item in value.items()}
