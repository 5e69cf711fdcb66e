"""Host: run a key broker process and exchange frames with it, one request at a time."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Final

import structlog

from sealflow.clock import now_ms
from sealflow.errors import MalformedError, WorkerGoneError
from sealflow.host.collateral.service import CollateralService
from sealflow.host.enclave.relay import Relay
from sealflow.wire.control import TOO_LARGE, UNAVAILABLE
from sealflow.wire.frame_payloads import KeyBrokerBoot, KeyBrokerReady, tick_payload
from sealflow.wire.frames import MAX_CONTROL_BYTES, FrameKind, decode_batch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sealflow.host.collateral.source import CollateralSource


_log = structlog.get_logger()
_ANSWER_S: Final = 20.0
_READY_S: Final = 60.0
_END_S: Final = 2.0


class KeyBrokerProcess:
    """A running key broker process.

    Its state is stored before any answer that depends on it is sent.
    """

    def __init__(
        self,
        command: tuple[str, ...],
        log: Path | None,
        collateral: CollateralSource | None,
        *,
        store_state: Callable[[int, bytes, list[tuple[int, bytes]]], None],
        store_key: Callable[[bytes], None],
        publish: Callable[[bytes], None],
    ) -> None:
        """Start the process.

        `command`: of `enclave_command`. `log`: the file for its standard error; None discards it.
        `collateral`: the source of collateral, if any. `store_state` is called with each state's
        number, the state and its log records; `store_key` with the state key sealed for this
        machine; `publish` with each new directory. All three run on the reading thread.

        Raises: ConfigError when the process cannot be started.
        """
        self._relay = relay = Relay(command, log)
        self._collateral = CollateralService(
            collateral, lambda content: relay.send(FrameKind.COLLATERAL, content)
        )
        self._store_state = store_state
        self._store_key = store_key
        self._publish = publish
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._started = threading.Event()
        self._reader = threading.Thread(target=self._read, name="read")
        self.has_state_key = False
        self.ready = False
        self.fatal = ""

    @property
    def pid(self) -> int:
        """The process id."""
        return self._relay.pid

    def boot(self, settings: KeyBrokerBoot) -> None:
        """Send the BOOT frame and wait until the process is ready.

        Raises: WorkerGoneError when it ends, or is not ready within 60 s.
        """
        self._relay.send(FrameKind.BOOT, settings.to_bytes())
        self._reader.start()
        if not self._started.wait(_READY_S) or not self.ready:
            raise WorkerGoneError(f"the key broker was not ready within {_READY_S:g} s")

    def tick(self) -> None:
        """Send the clock tick, and newer collateral if there is any.

        Raises: WorkerGoneError.
        """
        self._relay.send(FrameKind.TICK, tick_payload(now_ms()))
        self._collateral.refresh_if_due()

    def lead(self, state: bytes) -> None:
        """Make this key broker the leader, with a sealed state; an empty one starts a new log.

        Raises: WorkerGoneError.
        """
        self._relay.send(FrameKind.LEAD, tick_payload(now_ms(), state))

    def ask(self, request: bytes) -> bytes:
        """Send a request and return its answer, or an error answer when there is none.

        If no answer comes within 20 s, the process is killed.
        """
        if len(request) > MAX_CONTROL_BYTES:
            return TOO_LARGE
        try:
            self._relay.send(FrameKind.CONTROL, request)
            answer = self._answers.get(timeout=_ANSWER_S)
        except queue.Empty:
            # A late answer would be taken for the answer to the next request.
            self.kill()
            return UNAVAILABLE
        except WorkerGoneError:
            return UNAVAILABLE
        return UNAVAILABLE if answer is None else answer

    def kill(self) -> None:
        """Kill the process at once."""
        self._relay.kill()

    def end(self) -> None:
        """End the process, by force after 2 s, and its reading thread."""
        self.ready = False
        self._relay.wait(_END_S)
        if self._reader.ident is not None:
            self._reader.join()
        self._relay.release()

    def _read(self) -> None:
        try:
            while (frame := self._relay.receive()) is not None:
                self._process_frame(*frame)
        except (WorkerGoneError, MalformedError) as error:
            _log.error("key broker failed", error=str(error))
        finally:
            self.kill()
            self._started.set()
            self._answers.put(None)

    def _process_frame(self, kind: FrameKind, payload: memoryview) -> None:
        match kind:
            case FrameKind.CONTROL:
                self._answers.put(bytes(payload))
            case FrameKind.STATE:
                (number, state), *records = decode_batch(payload)[1]
                self._store_state(number, bytes(state), [(n, bytes(r)) for n, r in records])
            case FrameKind.KEY:
                self._store_key(bytes(payload))
                self.has_state_key = True
            case FrameKind.DIRECTORY:
                self._publish(bytes(payload))
            case FrameKind.READY:
                self.has_state_key = KeyBrokerReady.from_bytes(payload).keyed
                self.ready = True
                self._started.set()
                _log.info("key broker ready", pid=self.pid, keyed=self.has_state_key)
            case FrameKind.COLLATERAL:
                self._collateral.answer_request(bytes(payload))
            case FrameKind.FATAL:
                self.fatal = bytes(payload[:40]).decode(errors="replace")
            case FrameKind.EVENT:
                _log.info("key broker event", event_json=bytes(payload[:1000]).decode())
            case _:
                raise WorkerGoneError(f"a key broker does not send {kind.name} frames")
