"""Host: start a program that the kernel ends when its parent does, however that ends.

As a script: `python -I -S tether.py PARENT MEMORY PROGRAM ARGUMENTS…`. It imports nothing of ours.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(argv: tuple[str, ...], *, memory_bytes: int = 0) -> tuple[str, ...]:
    """Return the command line that runs `argv`, an absolute path first, tied to this process.

    The kernel watches the *thread* that starts the program, so that must be one that stays: the
    main thread. Source: prctl(2), PR_SET_PDEATHSIG.

    `memory_bytes`: what the program may claim, when not 0; asking for more then fails, where else
    the kernel might end it. Source: setrlimit(2), RLIMIT_DATA.
    """
    return (sys.executable, "-I", "-S", __file__, str(os.getpid()), str(memory_bytes), *argv)


def main() -> None:
    """Tie this process to its parent, then become the program."""
    parent, memory_bytes, argv = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit("prctl(PR_SET_PDEATHSIG) failed: this needs Linux")
    if os.getppid() != parent:
        # The parent ended before the line above could watch it.
        sys.exit("the parent process has ended")
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    try:
        os.execv(argv[0], argv)  # noqa: S606 - the program that the caller named
    except OSError as error:
        sys.exit(f"{argv[0]} does not start: {error.strerror}")


if __name__ == "__main__":
    main()
