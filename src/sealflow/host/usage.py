"""Host: what a process has used, from /proc."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

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
