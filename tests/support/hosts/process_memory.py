"""Reads another process's memory, as an operator with root can."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 2**22


def find_in_memory(pid: int, needles: dict[str, bytes]) -> set[str]:
    """Name the needles that stand anywhere in the process's readable memory."""
    overlap = max(map(len, needles.values())) - 1
    hits: set[str] = set()
    for piece in _pieces(pid, overlap):
        hits |= {name for name, needle in needles.items() if needle in piece}
    return hits


def _pieces(pid: int, overlap: int) -> Iterator[bytes]:
    proc = Path("/proc") / str(pid)
    with (proc / "mem").open("rb", buffering=0) as memory:
        for line in (proc / "maps").read_text().splitlines():
            span, rights, *rest = line.split(maxsplit=5)
            if "r" not in rights or rest[-1:] in (["[vvar]"], ["[vsyscall]"], ["[vvar_vclock]"]):
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            tail = b""
            while start < end:
                try:
                    memory.seek(start)
                    piece = memory.read(min(_PIECE, end - start))
                except (OSError, OverflowError):
                    break
                if not piece:
                    break
                yield tail + piece
                tail = piece[-overlap:]
                start += len(piece)
