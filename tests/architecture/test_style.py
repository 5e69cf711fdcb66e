"""House style, as far as a program can see it."""

from __future__ import annotations

import ast
import re
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "sealflow"
MODULES = sorted(SOURCE.rglob("*.py"))
TEXTS = {path.relative_to(SOURCE).as_posix(): path.read_text(encoding="utf-8") for path in MODULES}
AROUND = [
    each for name in ("tests", "bench", "tools", "examples") for each in (ROOT / name).rglob("*.py")
]

MAX_LINES = 450
MAX_MEDIAN = 150
PLACES = ("Core", "Owner", "Operator", "Local", "Host", "Worker", "Key broker", "Trusted", "CLI")
EMPTY_WORDS = (
    "Manager",
    "Handler",
    "Helper",
    "Util",
    "Utils",
    "Processor",
    "Base",
    "Impl",
    "Data",
    "Info",
)
EMPTY_MODULES = {"util", "utils", "helper", "helpers", "common", "misc"}
WITH_CONTENT = {"__init__.py", "owner/__init__.py"}
OPEN_WORK = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
MACHINE_PATHS = re.compile(r"(?<![\w.<])/(home|root|Users|mnt)/\w|" + re.escape(f"{ROOT}/"))


def has_code(text: str) -> bool:
    """Say whether a module has more than a docstring."""
    body = ast.parse(text).body
    return any(
        not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant)) for each in body
    )


@pytest.mark.parametrize("name", TEXTS)
def test_length(name: str) -> None:
    """A source file can be read in one sitting."""
    assert len(TEXTS[name].splitlines()) <= MAX_LINES


def test_lengths_around_the_source() -> None:
    """So can a test, a benchmark, a tool and an example."""
    assert AROUND
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in AROUND}
    assert {str(path): lines for path, lines in lengths.items() if lines > MAX_LINES} == {}
    assert statistics.median(lengths.values()) <= MAX_MEDIAN


def test_median_length() -> None:
    """Most source files are much shorter than the longest."""
    lengths = [len(text.splitlines()) for text in TEXTS.values() if text]
    assert statistics.median(lengths) <= MAX_MEDIAN


def test_class_names() -> None:
    """No class is named by a word that says nothing."""
    found = [
        f"{name}: {node.name}"
        for name, text in TEXTS.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef) and node.name.endswith(EMPTY_WORDS)
    ]
    assert found == []


def test_module_names() -> None:
    """No module, package or file of tests is a drawer for leftovers."""
    names = [*TEXTS, *(path.relative_to(ROOT).as_posix() for path in AROUND)]
    parts = {
        part.removesuffix(".py").removeprefix("test_") for name in names for part in name.split("/")
    }
    assert parts.isdisjoint(EMPTY_MODULES)


def test_package_files() -> None:
    """Package files hold no code, but for the version and the owner's lazy public names."""
    found = [
        name
        for name, text in TEXTS.items()
        if name.endswith("__init__.py") and name not in WITH_CONTENT and has_code(text)
    ]
    assert found == []


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if has_code(text)])
def test_docstring(name: str) -> None:
    """A module says in its first line where it runs and what it is for, in a sentence."""
    docstring = ast.get_docstring(ast.parse(TEXTS[name])) or ""
    first = docstring.partition("\n")[0]
    assert first.endswith(".")
    if name != "__init__.py":
        assert re.match(rf"({'|'.join(PLACES)})\b[^:]*: ", first), first


def test_no_open_work() -> None:
    """Open work is an issue, not a comment."""
    assert [name for name, text in TEXTS.items() if OPEN_WORK.search(text)] == []


def test_no_machine_paths() -> None:
    """Nothing in the source knows a folder of one machine."""
    assert [name for name, text in TEXTS.items() if MACHINE_PATHS.search(text)] == []
