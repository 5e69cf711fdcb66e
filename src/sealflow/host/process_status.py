"""Host: read the CPU time and memory of processes, and the memory limit of this machine."""

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
    """Return the CPU seconds that a process has used; 0 if it has ended."""
    try:
        # The command's name may contain spaces and brackets: split after the last bracket.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a process in bytes; 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def memory_bytes(root: Path = Path("/")) -> int:
    """Return the memory in bytes that all processes of this machine or container may use.

    `root`: the folder with `proc` and `sys`.
    """
    machine = os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        groups = []
    return min([machine, *(limit for group in groups for limit in _limits(root, group))])


def _limits(root: Path, group: str) -> Iterator[int]:
    """Yield the memory limits of a control group and of its parents. Source: cgroups(7)."""
    _, controllers, path = group.split(":", 2)
    if controllers not in {"", "memory"}:
        return
    top = root / "sys/fs/cgroup" / controllers
    # In a container, the path may be the host's while the container's group is mounted at the top.
    folder = top / path.lstrip("/")
    for each in (folder, *folder.parents):
        for name in ("memory.max", "memory.limit_in_bytes"):
            try:
                yield int((each / name).read_text())
            except (OSError, ValueError):
                continue
        if each == top:
            return
