"""/dev/attestation in plain files, as Gramine's LibOS lets no pipe of the host into an enclave.

Who opens `quote` must wait until it was made for what was written before: the kernel holds back
whoever opens a file on which another process has a lease (fcntl(2), leases).
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_POLL_S = 0.002


class AttestationFiles:
    """Files in a folder, of an enclave whose quotes `answer` makes from the report data.

    To be used on the main thread.
    """

    def __init__(
        self, folder: Path, answer: Callable[[bytes], bytes], kind: bytes = b"dcap"
    ) -> None:
        """Make the files; the sealing key is drawn."""
        (folder / "keys").mkdir()
        (folder / "keys" / "_sgx_mrenclave").write_bytes(os.urandom(16))
        (folder / "attestation_type").write_bytes(kind)
        self._asked = folder / "user_report_data"
        self._asked.write_bytes(bytes(64))
        self._quote = os.open(folder / "quote", os.O_CREAT | os.O_RDWR, 0o600)
        self._answer = answer
        self._held = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        # The kernel also says by a signal that somebody waits, which would end this process.
        self._before = signal.signal(signal.SIGIO, signal.SIG_IGN)

    def await_ready(self) -> None:
        """Wait until the next one to open `quote` will wait."""
        assert self._held.wait(30)

    def _run(self) -> None:
        while not self._stop.wait(_POLL_S):
            if self._held.is_set():
                if fcntl.fcntl(self._quote, fcntl.F_GETLEASE) != fcntl.F_WRLCK:
                    self._make()
            else:
                self._hold()

    def _hold(self) -> None:
        try:
            fcntl.fcntl(self._quote, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except BlockingIOError:
            # The one before still reads.
            return
        self._held.set()

    def _make(self) -> None:
        quote = self._answer(self._asked.read_bytes())
        os.ftruncate(self._quote, 0)
        os.pwrite(self._quote, quote, 0)
        self._held.clear()
        fcntl.fcntl(self._quote, fcntl.F_SETLEASE, fcntl.F_UNLCK)

    def __enter__(self) -> Self:
        """Serve within a `with` block."""
        self._thread.start()
        self.await_ready()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop."""
        self._stop.set()
        self._thread.join()
        os.close(self._quote)
        signal.signal(signal.SIGIO, self._before)
