"""Rooms of the source: few files in each, and a docstring that says what it is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "sealflow"
ROOMS = sorted(path.parent for path in SOURCE.rglob("__init__.py"))
NAMES = [path.relative_to(SOURCE.parent).as_posix() for path in ROOMS]

MAX_FILES = 12


def modules(room: Path) -> list[Path]:
    """The files of a room with code, without those of the rooms in it."""
    return [path for path in room.glob("*.py") if path.name != "__init__.py"]


@pytest.mark.parametrize("room", ROOMS, ids=NAMES)
def test_files(room: Path) -> None:
    """A room can be surveyed at a glance."""
    assert len(modules(room)) <= MAX_FILES


@pytest.mark.parametrize("room", ROOMS[1:], ids=NAMES[1:])
def test_docstring(room: Path) -> None:
    """A room says what lives there, and below that its words and what it may import."""
    docstring = ast.get_docstring(ast.parse((room / "__init__.py").read_text())) or ""
    first, _, rest = docstring.partition("\n\n")
    assert first.endswith(".")
    assert re.search(r"\b[Mm]ay import\b|one call|one run", rest), rest
