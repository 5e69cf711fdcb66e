"""What an owner does with a release on an `InstalledRelease`, and sees of it."""

from __future__ import annotations

import json
import re
import subprocess
import time
from base64 import b64encode
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from tests.support.chart.rendering import NAMESPACE
from tests.support.kubernetes.node.containers import ROOT
from tests.support.kubernetes.node.controllers import BY_NAME
from tests.support.kubernetes.node.pod_network import NAMESPACES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.chart.installed_release import InstalledRelease
    from tests.support.kubernetes.node.pods import Pod

SERVED: Final = re.compile(r"^Served (\d+) images in [\d.]+ sec, e2e throughput is", re.MULTILINE)
BENCH: Final = ("bench", "--images", str(ROOT / "examples" / "photos"), "--concurrency=8")
_PUBLISH: Final = ("model", "publish", str(ROOT / "examples" / "efficientnet-lite0"))


def await_true(done: Callable[[], bool], within_s: float = 60) -> None:
    """Wait for something to come true."""
    end_s = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < end_s, "it did not come true in time"
        time.sleep(0.3)


def finish(process: subprocess.Popen[str], within_s: float = 150) -> str:
    """Wait for a command; gives what it said."""
    return process.communicate(timeout=within_s)[0]


def publish(site: InstalledRelease) -> None:
    """Publish the example's model, once the key broker is there."""
    end_s = time.monotonic() + 60
    while not (said := finish(site.sealflow(site.owner, *_PUBLISH))).startswith("published"):
        assert time.monotonic() < end_s, said
        time.sleep(1)


def read_status(site: InstalledRelease) -> dict[str, Any]:
    """Ask the gateway what all processes say; empty when it cannot be asked."""
    asked = site.sealflow(site.owner, "status", "--json")
    said = finish(asked)
    found: dict[str, Any] = {"components": []} if asked.returncode else json.loads(said)
    return found


def loaded_models(site: InstalledRelease) -> int:
    """Count workers with a model."""
    return sum(
        bool(worker["ready"] and worker["models"])
        for component in read_status(site)["components"]
        for worker in component.get("workers") or ()
    )


@contextmanager
def spoil_request(
    site: InstalledRelease, secret: str, key: str, value: str | None
) -> Iterator[None]:
    """Have a wrong value under a key of a Secret, or none, for a while."""
    kind = BY_NAME["Secret"]
    kept = site.store.get(kind, NAMESPACE, secret)["data"]
    wrong = None if value is None else b64encode(value.encode()).decode()
    site.store.merge(kind, NAMESPACE, secret, {"data": {key: wrong}})
    try:
        yield
    finally:
        site.store.merge(kind, NAMESPACE, secret, {"data": kept})


def replace_pod(site: InstalledRelease, pod: Pod) -> None:
    """Delete a pod, as a person would who has mended what it needs; another takes its place."""
    site.store.delete(BY_NAME["Pod"], NAMESPACE, pod.name)
    await_true(pod.ended.is_set)


def can_reach(guest: str, address: str, port: int) -> bool:
    """Say whether a TCP connection comes about from a guest's network."""
    script = f"import socket; socket.create_connection(('{address}', {port}), 1).close()"
    command = ("nsenter", f"--net={NAMESPACES / guest}", "python3", "-c", script)
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
