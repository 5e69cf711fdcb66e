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
    """Return a command line that runs a program which cannot outlive this process.

        subprocess.Popen(die_with_parent(("/usr/bin/valkey-server", "--port", "0")))

    The command line runs this file. It asks the kernel to send SIGKILL when its parent ends, and
    then executes the program in its own place, with the same process id:

        this process -- Popen --> this file: prctl, setrlimit -- execv --> the program
              ends, even by SIGKILL -------------------------- SIGKILL --> ends

    Start it on the main thread, because the kernel acts when the *thread* ends that started it.
    Source: prctl(2), PR_SET_PDEATHSIG.

    `argv`: the program's absolute path and its arguments. `memory_bytes`: a limit on the program's
    private memory; 0 for none. An allocation over the limit fails in the program; without a limit
    the kernel may kill it for lack of memory. Source: setrlimit(2), RLIMIT_DATA.

    The child exits with status 1 and a line on stderr when the parent has ended already, or the
    program cannot be executed.
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
