"""Host: fetches collateral for one enclave on a thread of its own and keeps it fresh."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

import structlog

from sealflow.errors import MalformedError, UnavailableError, WorkerGoneError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealflow.host.collateral.source import CollateralSource

_log = structlog.get_logger()

_CHECK_S: Final = 600.0


class CollateralService:
    """Answers what the enclave asked, and brings newer collateral for as long as it lives."""

    def __init__(
        self,
        source: CollateralSource | None,
        send: Callable[[bytes], None],
        check_s: float = _CHECK_S,
    ) -> None:
        """Answer by `send`, and look for newer collateral every `check_s`."""
        self._source = source
        self._send = send
        self._check_s = check_s
        self._want = b""
        self._sent = b""
        self._due_s = 0.0
        self._running = threading.Lock()

    def ask(self, want: bytes) -> None:
        """Take the enclave's question; the answer is sent soon, and is empty when there is none."""
        self._want, self._sent = want, b""
        self._apart(must_answer=True)

    def refresh_if_due(self) -> None:
        """Look for newer collateral when that is due."""
        if self._want and time.monotonic() >= self._due_s:
            self._apart(must_answer=False)

    def _apart(self, *, must_answer: bool) -> None:
        self._due_s = time.monotonic() + self._check_s
        threading.Thread(
            target=self._run, args=(self._want, must_answer), name="collateral", daemon=True
        ).start()

    def _run(self, want: bytes, must_answer: bool) -> None:  # noqa: FBT001 - a thread's argument
        with self._running:
            found = b""
            try:
                if self._source is None:
                    raise UnavailableError("set the table collateral in this process's settings")  # noqa: TRY301
                found = self._source.get(want)
            except (UnavailableError, MalformedError) as error:
                _log.error("no collateral", error=str(error))
            if must_answer or (found and found != self._sent):
                self._sent = found
                try:
                    self._send(found)
                except WorkerGoneError:
                    return
