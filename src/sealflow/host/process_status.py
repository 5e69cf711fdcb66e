"""Host: what a process uses of its machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGESIZE")
_UTIME: Final = 11
_STIME: Final = 12


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used; 0 for one that is gone."""
    try:
        # The command's name may hold spaces and brackets: fields start after the last bracket.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS


def rss_bytes(pid: int) -> int:
    """Memory that a process holds; 0 for one that is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def memory_bytes(root: Path = Path("/")) -> int:
    """Memory that this process and those beside it may use: the machine's, or its container's."""
    machine = os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        groups = []
    return min([machine, *(limit for group in groups for limit in _limits(root, group))])


def _limits(root: Path, group: str) -> Iterator[int]:
    """The limits of a control group and of those that it lies in. Source: cgroups(7)."""
    _, controllers, path = group.split(":", 2)
    if controllers not in {"", "memory"}:
        return
    top = root / "sys/fs/cgroup" / controllers
    # In a container the path may be that of the host, and the container's own group at the top.
    folder = top / path.lstrip("/")
    for each in (folder, *folder.parents):
        for name in ("memory.max", "memory.limit_in_bytes"):
            try:
                yield int((each / name).read_text())
            except (OSError, ValueError):
                continue
        if each == top:
            return
