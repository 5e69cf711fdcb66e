"""Refuse the worst patterns of unclear English: `python tools/english.py`, in `make lint`.

It reads pages without their code, and the docstrings, comments and messages of Python files. Each
rule says what to write instead. Standard library only.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parent.parent
PAGES: Final = ("*.md", "bench/**/*.md", "docs/**/*.md")
SCRIPTS: Final = ("bench/**/*.py", "examples/**/*.py", "tools/**/*.py")
SOURCES: Final = ("src/**/*.py",)
CHECKED: Final = (*PAGES, *SCRIPTS, *SOURCES)
"""The files that are read."""

PARTIES: Final = "broker|caller|client|consumer|engine|enclave|gateway|host|peer|process|reader"
PARTIES_TOO: Final = "receiver|sender|server|thread|verifier|worker"


class Rule(NamedTuple):
    """A pattern, whose spaces match line ends too, and what to write instead.

    `starts_docstring`: whether it is matched only at the start of docstrings.
    """

    pattern: str
    advice: str
    starts_docstring: bool = False


RULES: Final = (
    Rule(r"Gives? ", 'begin with "Return" (or "Send", "Store", "Check")', starts_docstring=True),
    Rule(
        r"(?:[A-Z][\w ,]*: )?[Ww](?:hat|hich|ho|hatever) ",
        "begin with a noun that names the thing",
        starts_docstring=True,
    ),
    Rule(r"[;,] gives? (?!up\b|way\b)", 'say "returns" in a sentence of its own'),
    Rule(
        r"(?<![Tt]here\s)\b(?:is|are|was|were) no (?!longer|more|less|later|other)(?=[\w`])",
        '"is not a …", or "there is no …"',
    ),
    Rule(r"\bwhat (?:lies|travels|stands|belongs|fell|came|goes on)\b", "name the thing"),
    Rule(
        r"\b[Ww]hoever (?:asks|calls|claims|hands|imports|passes|reads|sends|takes|waits|writes)\b",
        "name the person or the process",
    ),
    Rule(rf"\b(?:{PARTIES}|{PARTIES_TOO}) who\b", '"that", or name the person'),
    Rule(r"\bthe wall\b|\bGramine's wall\b", '"the enclave"'),
    Rule(r"\bone hole\b", '"the frame port"'),
    Rule(r"\b[Ff]igures?\b", '"metrics", "numbers" or "measurements"'),
    Rule(r"\b(?:pass(?:es|ed|ing)?) (?:it |them |requests )?on to (?:others|another)\b", "requeue"),
    Rule(r"\b(?:is|are|was|were|be) passed on\b|\bpassing on\b", '"requeued"'),
    Rule(r"\bsets? aside\b", '"dead-lettered"'),
    Rule(r"\bstands? by\b", '"is a standby"'),
    Rule(r"\b[Ww]orlds?\b", '"trust domain"'),
    Rule(r"\bfor a (?:while|moment)\b|\ba moment (?:ago|later|before)\b", "give the time"),
    Rule(r"\bow(?:es|ed)\b", '"has not acknowledged", "unacknowledged"'),
    Rule(r"\b(?:the crew|the vault|the shelf|errands?|tethers?|tethered)\b", "a standard term"),
    Rule(r"\bturns? out to\b|\bto be had\b|\bis there for\b", "say it directly"),
)


def main() -> None:
    """Print every finding; exit with status 1 if there is one."""
    found = [finding for path in files() for finding in check_file(path)]
    print("\n".join(found) or "English: nothing to mend")
    sys.exit(1 if found else 0)


def files() -> Iterator[Path]:
    """Yield the files to check."""
    for pattern in CHECKED:
        # This file holds the patterns.
        yield from sorted({*ROOT.glob(pattern)} - {Path(__file__).resolve()})


def check_file(path: Path) -> Iterator[str]:
    """Yield the findings of one file, one line each."""
    text = path.read_text(encoding="utf-8")
    parts = page_parts(text) if path.suffix == ".md" else python_parts(text)
    for line, part, docstring in parts:
        for offset, quoted, advice in check_text(part, docstring=docstring):
            at = line + part.count("\n", 0, offset)
            yield f'{path.relative_to(ROOT)}:{at}: "{" ".join(quoted.split())}": {advice}'


def check_text(text: str, *, docstring: bool = False) -> Iterator[tuple[int, str, str]]:
    """Yield offset, words and advice for each place that breaks a rule."""
    for pattern, advice, starts_docstring in RULES:
        spaced = pattern.replace(" ", r"\s+")
        if not starts_docstring:
            matches = re.finditer(spaced, text)
        elif docstring and (match := re.match(spaced, text)):
            matches = iter((match,))
        else:
            continue
        for each in matches:
            yield each.start(), each[0], advice


def page_parts(text: str) -> Iterator[tuple[int, str, bool]]:
    """Yield the prose of a page; code is replaced by spaces, so that lines keep their numbers."""

    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match[0])

    def placeholder(match: re.Match[str]) -> str:
        return "`" + blank(match)[1:-1] + "`"

    text = re.sub(r"^ *```.*?^ *```", blank, text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"`[^`\n]+(?:\n[^`\n]+)?`", placeholder, text)
    yield 1, re.sub(r"(?<=\])\([^)\s]+\)", blank, text), False


def python_parts(text: str) -> Iterator[tuple[int, str, bool]]:
    """Yield the docstrings, comments and messages of a Python file, with their first lines."""
    tree = ast.parse(text)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    starts = set()
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            starts.add(id(node.body[0].value))  # type: ignore[attr-defined] # an expression
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, re.sub(r"`[^`\n]+`", "`…`", node.value), id(node) in starts
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string, False


if __name__ == "__main__":
    main()
