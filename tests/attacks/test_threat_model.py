"""docs/threat-model.md and the tests that it names agree."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| (\d+) \|.*\| `([^`]+)::(test_\w+)` \|$", re.MULTILINE)
ROWS = ROW.findall((ROOT / "docs" / "threat-model.md").read_text())


def names(path: Path) -> set[str]:
    """The test functions of a file."""
    return {
        node.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_attack_has_a_row() -> None:
    """All 75 classes of attack are in the table, in order."""
    assert [int(number) for number, _, _ in ROWS] == list(range(1, 76))


def test_every_row_has_a_test() -> None:
    """Every test that the table names exists."""
    for _, path, name in ROWS:
        assert name in names(ROOT / path), name


def test_every_test_has_a_row() -> None:
    """Every numbered test of this folder belongs to a row of that number."""
    rows = {int(number) for number, _, _ in ROWS}
    for path in Path(__file__).parent.glob("test_*.py"):
        for name in names(path):
            found = re.match(r"test_(\d\d)_", name)
            assert found is None or int(found[1]) in rows, name
