"""Host: start a program that the kernel kills when its parent ends, even by SIGKILL.

As a script: `python -I -S die_with_parent.py PARENT MEMORY PROGRAM ARGUMENTS…`. It imports only the
standard library, so that it runs without Sealflow's environment.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(argv: tuple[str, ...], *, memory_bytes: int = 0) -> tuple[str, ...]:
    """Return a command line that runs `argv` and has it killed when this process ends.

    `argv` begins with an absolute path. The kernel kills the program when the *thread* that started
    it ends, so start it on the main thread. Source: prctl(2), PR_SET_PDEATHSIG.

    `memory_bytes`: a limit on the program's private memory; 0 for none. An allocation over the
    limit fails in the program; without a limit the kernel may kill it for lack of memory.
    Source: setrlimit(2), RLIMIT_DATA.
    """
    return (sys.executable, "-I", "-S", __file__, str(os.getpid()), str(memory_bytes), *argv)


def main() -> None:
    """Have the kernel kill this process with its parent, then execute the program in its place."""
    parent, memory_bytes, argv = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit("prctl(PR_SET_PDEATHSIG) failed: this needs Linux")
    if os.getppid() != parent:
        # The parent ended before prctl took effect, so no signal will come.
        sys.exit("the parent process has ended")
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    try:
        os.execv(argv[0], argv)  # noqa: S606 - the program that the caller named
    except OSError as error:
        sys.exit(f"cannot start {argv[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
