"""Local: child processes of one cluster: started, kept up, stopped, and their ports."""

from __future__ import annotations

import socket
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealflow.errors import ConfigError, UnavailableError
from sealflow.host.enclave.die_with_parent import die_with_parent
from sealflow.host.service import RestartPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


_POLL_S: Final = 0.1


def free_port(host: str, wanted: int) -> int:
    """Check that a port is free, or with 0 let the system choose one, which it gives nobody soon.

    Raises: ConfigError when it is taken, or `host` is not an address of this machine.
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


def near_port(host: str, wanted: int) -> int:
    """Return the wanted port, or any free one when that is taken.

    Raises: ConfigError when there is none.
    """
    try:
        return free_port(host, wanted)
    except ConfigError:
        return free_port(host, 0)


def await_ready(
    who: str, attempt: Callable[[], object], timeout_s: float, *, cluster: Supervisor, logs: Path
) -> None:
    """Try until it works, and meanwhile start again what dies of the cluster.

    `who`: what is waited for, and `logs` where to look, for people.
    Raises: ConfigError when it does not within `timeout_s`, or a process ends again and again.
    """
    until = time.monotonic() + timeout_s
    while True:
        cluster.supervise()
        try:
            attempt()
        except UnavailableError as error:
            if time.monotonic() >= until:
                raise ConfigError(
                    f"{who}: not ready in {timeout_s:g} s: {error}; see {logs}"
                ) from error
            time.sleep(_POLL_S)
        else:
            return


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """One process to keep up: its name, what to run, where its output goes."""

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
    """Keeps programs up; restarts what dies, with growing pauses.

    Every program is tethered: when this process is killed, the kernel ends them too.
    """

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._running: dict[str, _Running] = {}

    def start_process(self, program: ProcessSpec) -> None:
        """Start a program; its output is appended to its log."""
        running = _Running(program=program, process=_spawn(program))
        running.policy.note_start(time.monotonic())
        self._running[program.name] = running

    def pid(self, name: str) -> int:
        """The process id of a program, as it runs now."""
        return self._running[name].process.pid

    def names(self) -> list[str]:
        """The programs, in the order of their start."""
        return list(self._running)

    def supervise(self) -> list[str]:
        """Restart what died and is due; names what was started again.

        Raises: ConfigError when a program exits by itself again and again soon after its start.
        """
        restarted = []
        now_s = time.monotonic()
        for running in self._running.values():
            if running.due_s is None:
                if running.process.poll() is None:
                    continue
                self._note_exit(running, now_s)
            if running.due_s is not None and now_s >= running.due_s:
                running.process = _spawn(running.program)
                running.due_s = None
                running.policy.note_start(now_s)
                restarted.append(running.program.name)
        return restarted

    def stop_process(self, name: str, *, within_s: float) -> None:
        """End a program: SIGTERM, which drains it, then SIGKILL after `within_s` seconds."""
        running = self._running.pop(name, None)
        if running is None:
            return
        running.process.terminate()
        try:
            running.process.wait(within_s)
        except subprocess.TimeoutExpired:
            running.process.kill()
            running.process.wait()

    def _note_exit(self, running: _Running, now_s: float) -> None:
        code = running.process.returncode
        running.due_s = running.policy.next_start_s(now_s, failed=code > 0)
        if running.due_s is None:
            name, log = running.program.name, running.program.log
            msg = f"{name} exits with code {code} again and again: {last_line(log)} (see {log})"
            raise ConfigError(msg)


def last_line(log: Path) -> str:
    """The last line that a program wrote, for an error message."""
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
            msg = f"{program.name} does not start: {error}"
            raise ConfigError(msg) from error
