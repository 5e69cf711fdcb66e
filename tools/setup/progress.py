"""Run an installer quietly, with its progress bars on a terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CHANGE = re.compile(rb"^(\x1b\[[\d;]*m)* ?(\x1b\[[\d;]*m)*[-+~](\x1b\[[\d;]*m)* ")
"""A line of uv's for each package that it adds or removes: bars say enough."""


def run(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a command; return its exit status and everything that it printed.

    On a terminal its progress is shown meanwhile. Elsewhere nothing is.
    """
    if not sys.stderr.isatty():
        done = subprocess.run(  # noqa: S603 - an installer, with our arguments
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return done.returncode, done.stdout.decode(errors="replace")
    return _run_on_terminal(command, environment)


def _run_on_terminal(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    ours, theirs = pty.openpty()
    with subprocess.Popen(  # noqa: S603 - likewise
        command, env=environment, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        with os.fdopen(ours, "rb", buffering=0) as output:
            printed = _forward(output, sys.stderr.buffer)
    # What is left of the bars, so that the next line starts clean.
    sys.stderr.write("\r\x1b[K")
    sys.stderr.flush()
    return process.returncode, printed.decode(errors="replace")


def _forward(output: IO[bytes], screen: IO[bytes]) -> bytes:
    printed = bytearray()
    while True:
        try:
            chunk = output.read(65536)
        except OSError:  # Linux: the other end of the terminal was closed
            chunk = b""
        if not chunk:
            return bytes(printed)
        printed += chunk
        shown = [line for line in chunk.splitlines(keepends=True) if not _CHANGE.match(line)]
        screen.write(b"".join(shown))
        screen.flush()
