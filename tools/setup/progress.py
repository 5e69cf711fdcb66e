"""Run an installer quietly; on a terminal, with a bar behind the title of the step."""

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
"""How uv counts packages in its own bars, which take many lines."""

_ESCAPE = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")
"""Colours and movements of a terminal."""

_WIDTH = 20
_SAVE, _BACK = "\x1b7", "\x1b8\x1b[K"


def run(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a command to its end, or stop it; return its exit status and all that it printed."""
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
        # It inherits the lock of the set-up: whatever stops us, no other set-up starts before it
        # has ended.
        close_fds=False,
    ) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def _show_bar(terminal: int) -> bytes:
    """Read what an installer prints until its end, and show how far it is."""
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
