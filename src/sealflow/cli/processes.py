"""CLI: CPU time and memory of a cluster's processes on this machine, from /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_UTIME: Final = 11
_STIME: Final = 12


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
        return {name: sum(map(_cpu_s, pids)) for name, pids in self.pids.items()}

    def rss_bytes(self) -> dict[str, int]:
        """Memory in use, by name."""
        return {name: sum(map(_rss_bytes, pids)) for name, pids in self.pids.items()}


def _cpu_s(pid: int) -> float:
    try:
        # The command's name may hold spaces and brackets: fields start after the last bracket.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS


def _rss_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    except (OSError, IndexError):
        return 0
