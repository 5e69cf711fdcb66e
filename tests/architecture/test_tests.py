"""Rooms of the tests: builders lie in `tests/support`, unit tests lie as the source does."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import sealflow.owner

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "sealflow"
TESTS = ROOT / "tests"
SUPPORT = TESTS / "support"
UNIT = TESTS / "unit"
ROOMS = sorted({path.parent for path in SUPPORT.rglob("*.py")})
UNIT_TESTS = sorted(path.relative_to(UNIT).as_posix() for path in UNIT.rglob("test_*.py"))

MAX_FILES = 12


def imported_tests(path: Path) -> set[str]:
    """Return the modules below `tests` that a file imports, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name for name in found if name.startswith("tests.")}


def module_path(name: str) -> Path:
    """Return the file of an imported module, or of the module that an imported name is from."""
    path = ROOT.joinpath(*name.split("."))
    while not path.with_suffix(".py").is_file():
        assert path != ROOT, name
        path = path.parent
    return path.with_suffix(".py")


def is_test_of(path: Path, room: str, module: str) -> bool:
    """Say whether a file is a test of a module, by its folder and name."""
    folder = UNIT.joinpath(*room.split("."))
    return path.parent == folder and f"{path.stem}_".startswith(f"test_{module}_")


def test_imports() -> None:
    """Tests import builders: those of `tests/support`, or of their own folder."""
    breaches = []
    for path in sorted(TESTS.rglob("*.py")):
        allowed = {SUPPORT} if path.is_relative_to(SUPPORT) else {SUPPORT, path.parent}
        breaches += [
            f"{path.relative_to(ROOT)} imports {module.relative_to(ROOT)}"
            for module in map(module_path, sorted(imported_tests(path)))
            if not any(module.is_relative_to(folder) for folder in allowed)
            or module.name.startswith(("test_", "conftest"))
        ]
    assert breaches == []


def test_public_names() -> None:
    """Names that the owner's package exports come from it, except in the tests of their module."""
    found = set()
    for path in sorted(TESTS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            room, _, module = node.module.removeprefix("sealflow.").rpartition(".")
            if not f"{room}.".startswith("owner.") or is_test_of(path, room, module):
                continue
            public = {alias.name for alias in node.names} & set(sealflow.owner.__all__)
            found |= {f"{path.relative_to(ROOT)}: {node.module}.{name}" for name in public}
    assert found == set()


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.relative_to(TESTS).as_posix())
def test_support(room: Path) -> None:
    """A room of builders has few files, and says in two sentences what lives there."""
    assert len([path for path in room.glob("*.py") if path.name != "__init__.py"]) <= MAX_FILES
    docstring = ast.get_docstring(ast.parse((room / "__init__.py").read_text())) or ""
    first, _, second = docstring.partition("\n\n")
    assert first.endswith(".")
    assert second.endswith(".")


@pytest.mark.parametrize("name", UNIT_TESTS)
def test_unit_tests(name: str) -> None:
    """A unit test lies in the folder of its room, and is named after a module there or the room.

    `test_MODULE.py` or, where a module has several files, `test_MODULE_ASPECT.py`.
    """
    room = SOURCE / Path(name).parent
    assert (room / "__init__.py").is_file()
    subjects = {room.name} | {path.stem for path in room.glob("*.py")} - {"__init__", "__main__"}
    words = Path(name).stem.removeprefix("test_").split("_")
    assert {"_".join(words[:count]) for count in range(1, len(words) + 1)} & subjects
