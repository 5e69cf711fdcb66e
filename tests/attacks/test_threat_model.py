"""docs/threat-model.md and the tests that it names agree."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| (\d+) \|.*\| ([^|]+) \|$", re.MULTILINE)
SHOWN_BY = re.compile(r"`([^`]+\.py)((?:::test_\w+)+)`")
ROWS = [
    (int(number), [(path, name) for path, names in SHOWN_BY.findall(cell)
                   for name in names.split("::")[1:]])
    for number, cell in ROW.findall((ROOT / "docs" / "threat-model.md").read_text())
]  # fmt: skip


def names_in(path: Path) -> set[str]:
    """The test functions of a file."""
    return {
        node.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_attack_has_a_row() -> None:
    """Numbers rise, none of the first 80 is missing, and something shows each attack."""
    numbers = [number for number, _ in ROWS]
    assert numbers == sorted(set(numbers))
    assert set(range(1, 81)) <= set(numbers)
    assert all(shown for _, shown in ROWS)


def test_every_row_has_a_test() -> None:
    """Every test that the table names exists."""
    for _, shown in ROWS:
        for path, name in shown:
            assert name in names_in(ROOT / path), name


def test_every_test_has_a_row() -> None:
    """Every numbered test of this folder is named by the row of that number."""
    rows = {number: {name for _, name in shown} for number, shown in ROWS}
    for path in Path(__file__).parent.glob("test_*.py"):
        for name in names_in(path):
            if found := re.match(r"test_(\d{2,3})_", name):
                assert name in rows[int(found[1])], name
