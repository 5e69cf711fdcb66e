"""Hosts of the tests: network namespaces with addresses of their own, on one bridge."""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

_CLONE_NEWNET = 0x40000000
_NUMBERS = itertools.count()
_IP = shutil.which("ip") or "/usr/sbin/ip"


class Host:
    """One namespace, `address` in it, and the processes that were started there."""

    def __init__(self, name: str, address: str, bridge: str) -> None:
        """Make it and connect it."""
        self.name = name
        self.address = address
        self._processes: list[subprocess.Popen[bytes]] = []
        _ip("netns", "add", name)
        _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("link", "set", name, "master", bridge, "up")
        for command in (
            ("address", "add", f"{address}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("link", "set", "lo", "up"),
        ):
            _ip("-n", name, *command)

    def start(self, *argv: str, log: Path) -> subprocess.Popen[bytes]:
        """Run a program on this host."""
        with log.open("ab") as out:
            process = subprocess.Popen(
                (_IP, "netns", "exec", self.name, *argv), stdout=out, stderr=out
            )
        self._processes.append(process)
        return process

    def enter(self) -> None:
        """Move the calling thread into this host: its sockets are this host's from now on."""
        with Path(f"/run/netns/{self.name}").open("rb") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

    def cut(self) -> None:
        """Pull its cable."""
        _ip("link", "set", self.name, "down")

    def mend(self) -> None:
        """Plug it in again."""
        _ip("link", "set", self.name, "up")

    def remove(self) -> None:
        """End its processes, which may start no more, and delete it."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        _ip("link", "delete", self.name)
        _ip("netns", "delete", self.name)


class Network:
    """A bridge and hosts on it; needs root."""

    def __init__(self, *names: str) -> None:
        """Make hosts 10.77.0.2, 10.77.0.3, … of these names."""
        # Names of their own: a namespace is gone only some time after it was deleted.
        tag = f"{os.getpid() % 100000}-{next(_NUMBERS)}"
        self._bridge = f"sf{tag}"
        self.hosts: dict[str, Host] = {}
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("link", "set", self._bridge, "up")
        for number, name in enumerate(names, 2):
            host = Host(f"s{number}-{tag}", f"10.77.0.{number}", self._bridge)
            self.hosts[name] = host

    def __getitem__(self, name: str) -> Host:
        """The host of a name."""
        return self.hosts[name]

    def __enter__(self) -> Self:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *error: object) -> None:
        """Remove all of it."""
        for host in reversed(self.hosts.values()):
            host.remove()
        _ip("link", "delete", self._bridge)


def _ip(*arguments: str) -> None:
    subprocess.run((_IP, *arguments), check=True)
