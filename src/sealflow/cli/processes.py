"""CLI: CPU time and memory of a cluster's processes on this machine, from /proc."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sealflow.host.process_status import cpu_s, rss_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Processes:
    """Process ids by name. Several processes of one kind are added up under their name."""

    pids: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, status: Mapping[str, Any], more: Mapping[str, int]) -> Processes:
        """Take them from a gateway's status; `more`: what does not report itself, by name."""
        found: dict[str, list[int]] = {}
        for component in status.get("components") or ():
            found.setdefault(str(component.get("component")), []).append(component.get("pid", 0))
            for worker in component.get("workers") or ():
                found.setdefault("workers", []).append(worker.get("pid") or 0)
            keybroker = component.get("keybroker")
            if isinstance(keybroker, dict):
                found.setdefault("key broker", []).append(keybroker.get("pid") or 0)
        for name, pid in more.items():
            found.setdefault(name, [pid])
        return cls({name: tuple(pids) for name, pids in found.items()})

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds used so far, by name; 0 for processes of other machines."""
        return {name: sum(map(cpu_s, pids)) for name, pids in self.pids.items()}

    def rss_bytes(self) -> dict[str, int]:
        """Memory in use, by name."""
        return {name: sum(map(rss_bytes, pids)) for name, pids in self.pids.items()}
