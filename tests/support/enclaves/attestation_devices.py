"""Folders that behave as Gramine's /dev/attestation and Linux's configfs-tsm do, by pipes."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_POLL_S = 0.002
_PIECE = 700


class _Questions:
    """Reads what is written into one pipe, and answers it through another, in short pieces."""

    def __init__(self, asked: Path, answered: Path, answer: Callable[[bytes], bytes]) -> None:
        os.mkfifo(asked)
        os.mkfifo(answered)
        self._asked = os.open(asked, os.O_RDONLY | os.O_NONBLOCK)
        self._answered = answered
        self._answer = answer
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._stop.set()
        self._thread.join()
        os.close(self._asked)

    def _run(self) -> None:
        while not self._stop.is_set():
            question = self._read()
            if question:
                self._write(self._answer(question))
            self._stop.wait(_POLL_S)

    def _read(self) -> bytes:
        try:
            return os.read(self._asked, 4096)
        except BlockingIOError:
            return b""

    def _write(self, answer: bytes) -> None:
        while not self._stop.is_set():
            try:
                descriptor = os.open(self._answered, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                # Nobody reads yet.
                self._stop.wait(_POLL_S)
                continue
            os.set_blocking(descriptor, True)
            with os.fdopen(descriptor, "wb", buffering=0) as pipe:
                for start in range(0, len(answer), _PIECE):
                    pipe.write(answer[start : start + _PIECE])
            return


class GramineFolder:
    """/dev/attestation of an enclave whose quotes `answer` makes from the report data."""

    def __init__(
        self, folder: Path, answer: Callable[[bytes], bytes], kind: bytes = b"dcap"
    ) -> None:
        """Make the files."""
        (folder / "attestation_type").write_bytes(kind)
        self._questions = _Questions(folder / "user_report_data", folder / "quote", answer)

    def __enter__(self) -> Self:
        """Serve within a `with` block."""
        return self

    def __exit__(self, *error: object) -> None:
        """Stop."""
        self._questions.close()


class TsmFolder:
    """configfs-tsm's folder: `make` and `remove` are what mkdir and rmdir do there.

    `intrude`: how often somebody else writes while an answer is made, by the number of the try.
    """

    def __init__(
        self,
        answer: Callable[[bytes], bytes],
        provider: bytes = b"tdx_guest\n",
        intrude: Callable[[int], int] = lambda _: 0,
    ) -> None:
        """Prepare; folders are made by `make`."""
        self._answer = answer
        self._provider = provider
        self._intrude = intrude
        self._open: dict[Path, _Questions] = {}
        self.made = 0

    def make(self, entry: Path) -> None:
        """Make a folder with the kernel's files in it."""
        entry.mkdir()
        self.made += 1
        number = self.made
        (entry / "provider").write_bytes(self._provider)
        count = entry / "generation"
        count.write_text("0\n")

        def answer(question: bytes) -> bytes:
            count.write_text(f"{1 + self._intrude(number)}\n")
            return self._answer(question)

        self._open[entry] = _Questions(entry / "inblob", entry / "outblob", answer)

    def remove(self, entry: Path) -> None:
        """Remove a folder with the kernel's files in it."""
        self._open.pop(entry).close()
        for name in ("provider", "generation", "inblob", "outblob"):
            (entry / name).unlink(missing_ok=True)
        entry.rmdir()
