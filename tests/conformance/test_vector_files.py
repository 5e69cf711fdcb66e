"""The vector files themselves: their form and their rules."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from tests.support.vectors.cases import FOLDER, read_cases

if TYPE_CHECKING:
    from pathlib import Path

SPECIFICATION = FOLDER.parents[1] / "docs" / "spec"
MAX_BYTES = 1_000_000
SCHEMA = json.loads((FOLDER / "schema.json").read_text())
FILES = [
    path
    for path in sorted(FOLDER.rglob("*.json"))
    if path.name != "schema.json" and "rules" in json.loads(path.read_text())
]


def relative(path: Path) -> str:
    """The name of a file below the folder of vectors."""
    return path.relative_to(FOLDER).as_posix()


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_form(path: Path) -> None:
    """It has the form of the schema, different names, and references that resolve."""
    assert path.stat().st_size < MAX_BYTES
    value: dict[str, Any] = json.loads(path.read_text())
    jsonschema.validate(value, SCHEMA)
    names = [case["name"] for case in value["cases"]]
    assert len(set(names)) == len(names)
    assert {case["rule"] for case in value["cases"]} == set(value["rules"])
    assert len(read_cases(relative(path))) == len(names)


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_rules(path: Path) -> None:
    """Every rule is a number of a page of the specification."""
    for rule in json.loads(path.read_text())["rules"]:
        page, number = rule.split(" ")
        text = (SPECIFICATION / f"{page}.md").read_text()
        assert re.search(rf"^(## )?{re.escape(number)}\.? ", text, re.MULTILINE), rule


def test_readme() -> None:
    """Every file is in the list of files."""
    text = (FOLDER / "README.md").read_text()
    for path in FILES:
        name = relative(path)
        assert f"`{name}`" in text or (name.startswith("evidence/") and "`evidence/*.json`" in text)
