"""Host: fetch collateral for one enclave on a background thread, and keep it fresh."""

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
    """The collateral of one enclave: sent when it asks, and again whenever the source has newer."""

    def __init__(
        self,
        source: CollateralSource | None,
        send: Callable[[bytes], None],
        check_s: float = _CHECK_S,
    ) -> None:
        """Set where collateral comes from and how it is sent.

        `source`: None when none is configured; the answer to every request is then empty. `send`:
        sends collateral to the enclave. `check_s`: seconds between looks for newer collateral.
        """
        self._source = source
        self._send = send
        self._check_s = check_s
        self._request = b""
        self._sent = b""
        self._due_s = 0.0
        self._running = threading.Lock()

    def answer_request(self, request: bytes) -> None:
        """Send the collateral for a request of the enclave, from a background thread.

        The answer is empty when there is none; the enclave then ends with the reason.
        """
        self._request, self._sent = request, b""
        self._start_thread(must_answer=True)

    def refresh_if_due(self) -> None:
        """Look for newer collateral on a background thread, at most once in `check_s`."""
        if self._request and time.monotonic() >= self._due_s:
            self._start_thread(must_answer=False)

    def _start_thread(self, *, must_answer: bool) -> None:
        self._due_s = time.monotonic() + self._check_s
        threading.Thread(
            target=self._run, args=(self._request, must_answer), name="collateral", daemon=True
        ).start()

    def _run(self, request: bytes, must_answer: bool) -> None:  # noqa: FBT001 - a thread's argument
        with self._running:
            found = b""
            try:
                if self._source is None:
                    raise UnavailableError("set the table collateral in this process's settings")  # noqa: TRY301
                found = self._source.get(request)
            except (UnavailableError, MalformedError) as error:
                _log.error("no collateral", error=str(error))
            if must_answer or (found and found != self._sent):
                self._sent = found
                try:
                    self._send(found)
                except WorkerGoneError:
                    return
