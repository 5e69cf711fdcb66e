"""docs/reference/errors.md lists every error, every code and every hint, and no other."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

from sealflow import errors
from sealflow.cli.main import exit_code
from sealflow.errors import (
    EvidenceError,
    PolicyError,
    RefusalCode,
    RefusedError,
    SealflowError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The rows of the table below a heading, without its head."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def classes(root: type[SealflowError] = SealflowError) -> Iterator[type[SealflowError]]:
    """The tree of errors that callers may see, depth first."""
    yield root
    for each in root.__subclasses__():
        if each.__module__ == errors.__name__:
            yield from classes(each)


def code_of(node: ast.expr) -> str | None:
    """The code that a call makes an EvidenceError with, if it is written there."""
    match node:
        case ast.Call(
            func=ast.Name(id="EvidenceError" | "evidence_error"),
            args=[ast.Constant(value=str(code)), _],
        ):
            return code
    return None


def test_classes() -> None:
    """Each class with its place in the tree, code, hint and exit code."""
    expected = []
    for each in classes():
        depth = len(each.__mro__) - len(SealflowError.__mro__)
        code, hint = f"`{getattr(each, 'code', '')}`", each.hint
        if issubclass(each, EvidenceError | RefusedError):
            heading = "evidence" if each is EvidenceError else "refusals"
            code, hint = f"of the [list below](#{heading})", "by code"
        elif each is PolicyError:
            hint = "that of each mismatch"
        number = exit_code(each.__new__(each))
        name = f"{'&nbsp;' * 3 * depth}`{each.__name__}`"
        expected.append([name, code, hint, str(number)])
    assert rows("Classes") == expected


def test_codes_are_words() -> None:
    """A code is one word in lower case, and belongs to one class."""
    codes = [each.code for each in classes() if each is not RefusedError]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)


def test_hints_are_sentences() -> None:
    """Every hint says in one or two sentences what to do."""
    hints = [each.hint for each in classes()] + [each.hint for each in RefusalCode]
    assert all(re.fullmatch(r"[A-Z].+\.", hint) for hint in hints)


def test_evidence() -> None:
    """Each code that an EvidenceError is made with anywhere, and its hint."""
    found = {
        code
        for path in (ROOT / "src").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.expr) and (code := code_of(node)) is not None
    }
    assert len(found) > 20
    listed = {code.strip("`"): hint for code, _, hint in rows("Evidence")}
    assert listed == {code: EvidenceError(code, "").hint for code in found}


def test_refusals() -> None:
    """Each code of a refusal, with meaning and hint."""
    expected = [[f"`{each.value}`", each.meaning, each.hint] for each in RefusalCode]
    assert rows("Refusals") == expected


def test_json() -> None:
    """What machines get has code, message and hint, and of a policy all mismatches."""
    assert EvidenceError("world", "x").to_json().keys() == {"code", "error", "hint"}
    found = errors.Mismatch(code="svn", field="min_svn", expected="3", got="2", hint="Update it.")
    error = PolicyError((found, found))
    assert error.hint == "Update it."
    assert error.to_json()["mismatches"] == [found.to_json()] * 2
