"""Local: starts, restarts and stops the child processes of a cluster, and finds free ports."""

from __future__ import annotations

import socket
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealflow.errors import ConfigError, UnavailableError
from sealflow.host.enclave.die_with_parent import die_with_parent
from sealflow.host.service import MAX_FAILURES, RestartPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


_POLL_S: Final = 0.1


def free_port(host: str, wanted: int) -> int:
    """Return `wanted` when that TCP port is free. For 0, return a free port of the system's choice.

    The port is not reserved: another process may take it before it is used.

    Raises: ConfigError when the port is taken, or `host` is not an address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, wanted), family=family) as listening:
            port: int = listening.getsockname()[1]
            return port
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{wanted}: {error.strerror}; use another --port"
        ) from error


def pick_port(host: str, preferred: int) -> int:
    """Return `preferred` when that TCP port is free, else any free port.

    Raises: ConfigError when there is no free port.
    """
    try:
        return free_port(host, preferred)
    except ConfigError:
        return free_port(host, 0)


def await_ready(
    who: str, attempt: Callable[[], object], timeout_s: float, *, cluster: Supervisor, logs: Path
) -> None:
    """Call `attempt` every 0.1 s until it succeeds; meanwhile restart ended processes.

    An attempt fails when it raises UnavailableError. `who` and `logs`: name of the awaited process
    and folder of logs, for the error message.

    Raises: ConfigError when no attempt succeeds within `timeout_s`, or a process fails several
        times soon after its start.
    """
    until = time.monotonic() + timeout_s
    while True:
        cluster.supervise()
        try:
            attempt()
        except UnavailableError as error:
            if time.monotonic() >= until:
                raise ConfigError(
                    f"{who}: not ready after {timeout_s:g} s: {error}; see {logs}"
                ) from error
            time.sleep(_POLL_S)
        else:
            return


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """The name, command line and log file of a child process."""

    name: str
    argv: tuple[str, ...]
    log: Path


@dataclass(slots=True, kw_only=True)
class _Running:
    program: ProcessSpec
    process: subprocess.Popen[bytes]
    policy: RestartPolicy = field(default_factory=RestartPolicy)
    due_s: float | None = None


class Supervisor:
    """The server processes of `sealflow up`: starts them, and restarts those that end.

    It has no thread of its own, so its owner calls `supervise` again and again:

        supervisor = Supervisor()
        supervisor.start_process(ProcessSpec(name="gateway", argv=argv, log=log))
        while not stopped:
            supervisor.supervise()    # raises once a process fails for good
            time.sleep(0.1)
        supervisor.stop_process("gateway", within_s=10)

    The pause before a restart is 0.5 s at first and grows to 15 s (`RestartPolicy`). A process
    fails for good when it exits with a positive code three times in a row, each time within 30 s.

    When this process ends, even by SIGKILL, the kernel kills the children. Use it on the main
    thread only, because children end with the thread that started them. Not thread-safe.
    """

    def __init__(self) -> None:
        self._running: dict[str, _Running] = {}

    def start_process(self, program: ProcessSpec) -> None:
        """Start a process; its stdout and stderr are appended to its log."""
        running = _Running(program=program, process=_spawn(program))
        running.policy.record_start(time.monotonic())
        self._running[program.name] = running

    def pid(self, name: str) -> int:
        """Return the current process id of a child process."""
        return self._running[name].process.pid

    def names(self) -> list[str]:
        """Return the names of the child processes in the order of their first start."""
        return list(self._running)

    def supervise(self) -> list[str]:
        """Restart processes that ended and whose pause is over. Return the restarted names.

        Raises: ConfigError when a process exited with a positive code `MAX_FAILURES` times in a
            row, each time less than 30 s after its start.
        """
        restarted = []
        now_s = time.monotonic()
        for running in self._running.values():
            if running.due_s is None:
                if running.process.poll() is None:
                    continue
                self._record_exit(running, now_s)
            if running.due_s is not None and now_s >= running.due_s:
                running.process = _spawn(running.program)
                running.due_s = None
                running.policy.record_start(now_s)
                restarted.append(running.program.name)
        return restarted

    def stop_process(self, name: str, *, within_s: float) -> None:
        """Stop a process: SIGTERM, on which it drains, and after `within_s` seconds SIGKILL."""
        running = self._running.pop(name, None)
        if running is None:
            return
        running.process.terminate()
        try:
            running.process.wait(within_s)
        except subprocess.TimeoutExpired:
            running.process.kill()
            running.process.wait()

    def _record_exit(self, running: _Running, now_s: float) -> None:
        code = running.process.returncode
        running.due_s = running.policy.next_start_s(now_s, failed=code > 0)
        if running.due_s is None:
            name, log = running.program.name, running.program.log
            msg = (
                f"{name} failed {MAX_FAILURES} times in a row, the last time with exit code {code}"
            )
            raise ConfigError(f"{msg}: {last_line(log)} (see {log})")


def last_line(log: Path) -> str:
    """Return the last line of a log that is not empty: at most 1000 characters."""
    try:
        lines = log.read_text(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line for line in reversed(lines) if line.strip()), "")[:1000]


def _spawn(program: ProcessSpec) -> subprocess.Popen[bytes]:
    argv: Sequence[str] = die_with_parent(program.argv)
    with program.log.open("ab") as log:
        try:
            return subprocess.Popen(  # noqa: S603 - our own programs, no shell
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        except OSError as error:
            raise ConfigError(f"{program.name} does not start: {error}") from error
