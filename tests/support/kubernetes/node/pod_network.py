"""A node's network in namespaces of its own: pods, Services, and NetworkPolicies that nft enforces.

Every packet between pods is routed through the node's namespace, as Calico does. Nothing of it is
seen by, or can reach, the machine's own network.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import subprocess
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from tests.support.kubernetes.node.network_policies import Endpoint, allows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tests.support.kubernetes.api.store import Object

NAMESPACES: Final = Path("/run/netns")
PODS: Final = "198.18.0."
SERVICES: Final = "198.18.1."
GATEWAY: Final = "169.254.1.1"
T = TypeVar("T")

_CLONE_NEWNET: Final = 0x40000000


class Network:
    """One node. `place` a pod, then `update` when pods, readiness or policies have changed."""

    def __init__(self) -> None:
        """Make the node's namespace."""
        self._id = uuid.uuid4().hex[:6]
        self.node = f"sf-{self._id}"
        self._made: list[str] = []
        self._numbers = itertools.count(2)
        self._service_numbers = itertools.count(2)
        self._lock = threading.Lock()
        self._last = ""
        self._namespace(self.node)
        self._inside(self.node, "sysctl", "-qw", "net.ipv4.ip_forward=1")

    def place(self) -> tuple[str, str]:
        """Make a namespace for a pod; gives its name and address."""
        with self._lock:
            number = next(self._numbers)
        name, address = f"{self.node}-{number}", f"{PODS}{number}"
        outer, inner = f"v{self._id}{number}", "eth0"
        self._namespace(name)
        _run(
            *("ip", "-n", self.node, "link", "add", outer, "type", "veth"),
            *("peer", "name", inner, "netns", name),
        )
        for words in (
            ("-n", self.node, "addr", "add", f"{GATEWAY}/32", "dev", outer),
            ("-n", self.node, "link", "set", outer, "up"),
            ("-n", self.node, "route", "add", f"{address}/32", "dev", outer),
            ("-n", name, "addr", "add", f"{address}/32", "dev", inner),
            ("-n", name, "link", "set", inner, "up"),
            ("-n", name, "route", "add", GATEWAY, "dev", inner),
            ("-n", name, "route", "add", "default", "via", GATEWAY, "dev", inner),
        ):
            _run("ip", *words)
        return name, address

    def new_service(self) -> str:
        """Give an address for a Service."""
        return f"{SERVICES}{next(self._service_numbers)}"

    def remove(self, name: str) -> None:
        """Take a pod's namespace away."""
        with self._lock:
            self._made.remove(name)
        _run("ip", "netns", "del", name)

    def update(
        self,
        pods: Mapping[str, Endpoint],
        policies: list[Object],
        services: Iterable[tuple[str, int, list[tuple[str, int]]]],
        ports: Iterable[int],
    ) -> None:
        """Enforce `policies` between pods (by address), for all `ports` that anything listens on.

        `services`: address, port, and the pods and ports that are ready behind it.
        """
        accepted = [
            f"ip saddr {source} ip daddr {target} tcp dport {port} accept"
            for source in pods
            for target in pods
            if source != target
            for port in sorted(set(ports))
            if allows(policies, pods[source], pods[target], port)
        ]
        translated = []
        for address, port, behind in services:
            places = ", ".join(f"{n} : {ip} . {to}" for n, (ip, to) in enumerate(behind))
            if places:
                choice = f"numgen random mod {len(behind)} map {{ {places} }}"
                translated.append(
                    f"ip daddr {address} tcp dport {port} dnat ip addr . port to {choice}"
                )
            else:
                translated.append(f"ip daddr {address} tcp dport {port} drop")
        text = "\n".join(
            (
                "add table ip sealflow",
                "delete table ip sealflow",
                "table ip sealflow {",
                "chain forward { type filter hook forward priority 0; policy drop;",
                "ct state established,related accept",
                *accepted,
                "}",
                "chain services { type nat hook prerouting priority -100;",
                *translated,
                "}",
                "}",
            )
        )
        if text != self._last:
            self._inside(self.node, "nft", "-f", "-", given=text)
            self._last = text

    def close(self) -> None:
        """Take everything away."""
        for name in list(self._made):
            with suppress(RuntimeError):
                self.remove(name)

    def _namespace(self, name: str) -> None:
        _run("ip", "netns", "add", name)
        with self._lock:
            self._made.append(name)
        _run("ip", "-n", name, "link", "set", "lo", "up")

    def _inside(self, name: str, *words: str, given: str | None = None) -> None:
        _run("nsenter", f"--net={NAMESPACES / name}", *words, given=given)


def enter(name: str) -> None:
    """Move the calling thread, and no other, into a namespace for good."""
    with (NAMESPACES / name).open() as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def within(name: str, make: Callable[[], T]) -> T:
    """Call `make` in a namespace: the sockets and threads that it opens stay there."""

    def enter_and_make() -> T:
        enter(name)
        return make()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(enter_and_make).result()


def _run(*words: str, given: str | None = None) -> None:
    done = subprocess.run(
        words, input=given, text=True, check=False, capture_output=True, timeout=30
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr}")
