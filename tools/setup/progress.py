"""Run an installer without showing its output; on a terminal, show a progress bar instead."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_COUNT = re.compile(r"[(\[](\d+)/(\d+)[)\]]")
"""The counts of packages in uv's own progress bars, which take many lines."""

_ESCAPE = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")
"""Escape sequences of a terminal for colours and cursor movements."""

_WIDTH = 20
_SAVE, _BACK = "\x1b7", "\x1b8\x1b[K"


def run(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a command; return its exit status and output. Kill it if an exception is raised here."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        with _started(command, environment, subprocess.PIPE) as process:
            printed, _ = process.communicate()
    else:
        ours, theirs = pty.openpty()
        with _started(command, environment, theirs) as process:
            os.close(theirs)
            printed = _show_bar(ours)
        os.close(ours)
    return process.returncode, _ESCAPE.sub("", printed.decode(errors="replace"))


@contextmanager
def _started(
    command: Sequence[str], environment: Mapping[str, str], output: int
) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(  # noqa: S603 - an installer, with our arguments
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        # The installer inherits the lock of the set-up: if this process is killed, no other set-up
        # starts before the installer has ended.
        close_fds=False,
    ) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def _show_bar(terminal: int) -> bytes:
    """Read an installer's output until its end and show the number of packages done."""
    printed = bytearray()
    _show(_SAVE)
    try:
        while chunk := _read(terminal):
            printed += chunk
            counts = _COUNT.findall(chunk.decode(errors="replace"))
            done, total = map(int, counts[-1]) if counts else (0, 0)
            if total:
                filled = _WIDTH * done // total
                _show(f"{_BACK}{'#' * filled:.<{_WIDTH}} {done} of {total} packages")
    finally:
        _show(_BACK)
    return bytes(printed)


def _show(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux: the other end of the terminal was closed
        return b""
