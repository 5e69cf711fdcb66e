"""Host: start a program that the kernel ends when its parent does, however that ends.

As a script: `python -I -S tether.py PARENT PROGRAM ARGUMENTS…`. It imports nothing of the package.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def tethered(argv: tuple[str, ...]) -> tuple[str, ...]:
    """Give the command line that runs `argv`, an absolute path first, tied to this process.

    The kernel watches the *thread* that starts the program, so that must be one that stays: the
    main thread. Source: prctl(2), PR_SET_PDEATHSIG.
    """
    return (sys.executable, "-I", "-S", __file__, str(os.getpid()), *argv)


def main() -> None:
    """Tie this process to its parent, then become the program."""
    parent, argv = int(sys.argv[1]), sys.argv[2:]
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit("prctl(PR_SET_PDEATHSIG) failed: this needs Linux")
    if os.getppid() != parent:
        # The parent ended before the line above could watch it.
        sys.exit("the parent process has ended")
    try:
        os.execv(argv[0], argv)  # noqa: S606 - the program that the caller named
    except OSError as error:
        sys.exit(f"{argv[0]} does not start: {error.strerror}")


if __name__ == "__main__":
    main()
