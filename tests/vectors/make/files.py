"""Builds and writes vector files: one case a line, large values once."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.vectors.make.pending import PENDING
from tests.vectors.make.rules import finer_rule

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[1]
MAX_BYTES = 1_000_000
_WORTH_SHARING = 100
_LONG = 2000
_RUN = re.compile(r"(.{4}|.{8}|.{16})\1{99,}", re.DOTALL)


@dataclass(kw_only=True)
class VectorFile:
    """A file of vectors. Values that were shared are written once, and named where they recur."""

    path: str
    description: str
    shared: dict[str, Any] = field(default_factory=dict)
    cases: list[dict[str, Any]] = field(default_factory=list)

    def share(self, name: str, value: Any) -> Any:
        """Write a value once, under a name; gives the value."""
        self.shared[name] = value
        return value

    def case(
        self, name: str, rule: str, expect: str | list[str], description: str, **inputs: Any
    ) -> None:
        """Add a case."""
        found = finer_rule(self.path, name, rule)
        assert name not in {each["name"] for each in self.cases}, name
        self.cases.append(
            {"name": name, "description": description, "rule": found, **inputs, "expect": expect}
        )

    def write(self) -> None:
        """Write the file."""
        target = FOLDER / self.path
        target.parent.mkdir(exist_ok=True)
        target.write_text(self.text())

    def text(self) -> str:
        """Return what the file holds: all cases but those that are pending."""
        late = set() if "VECTORS_ALL" in os.environ else set(PENDING.get(self.path, ()))
        assert late <= {case["name"] for case in self.cases}, late
        kept = [case for case in self.cases if case["name"] not in late]
        names = {
            json.dumps(value, sort_keys=True): name
            for name, value in self.shared.items()
            if len(json.dumps(value)) > _WORTH_SHARING
        }
        head = {
            "description": self.description,
            "rules": sorted({case["rule"] for case in kept}, key=_order),
        }
        shared = {
            name: _named_within(value, {each: of for each, of in names.items() if of != name})
            for name, value in self.shared.items()
        }
        cases = [_named_within(case, names) for case in kept]
        text = json.dumps(head, indent=1, ensure_ascii=False)[:-2]
        if shared:
            lines = [f"  {_text(name)}: {_text(value)}" for name, value in shared.items()]
            text += ',\n "shared": {\n' + ",\n".join(lines) + "\n }"
        text += ',\n "cases": [\n' + ",\n".join(f"  {_text(case)}" for case in cases) + "\n ]\n}\n"
        assert len(text.encode()) < MAX_BYTES, f"{self.path}: {len(text)} bytes"
        return text


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _order(rule: str) -> tuple[str, list[int]]:
    page, _, number = rule.partition(" ")
    return page, [int(part) if part.isdecimal() else 0 for part in number.split(".")]


def _named(value: Any, names: dict[str, str]) -> Any:
    name = names.get(json.dumps(value, sort_keys=True))
    return _named_within(value, names) if name is None else f"@{name}"


def _joined(value: str, names: dict[str, str]) -> Any:
    """Write a long text as its pieces: runs and shared texts with the number of times."""
    pieces: list[Any] = [value]
    for encoded, name in sorted(names.items(), key=lambda each: -len(each[0])):
        if encoded.startswith('"') and len(encoded) <= len(value):
            pieces = list(_split(pieces, json.loads(encoded), [f"@{name}", 1]))
    found: list[Any] = []
    for piece in pieces:
        at = 0
        for run in _RUN.finditer(piece) if isinstance(piece, str) else ():
            found += [piece[at : run.start()], [run[1], len(run[0]) // len(run[1])]]
            at = run.end()
        found.append(piece[at:] if isinstance(piece, str) else piece)
    kept = [each for each in found if each]
    return value if kept == [value] else {"join": kept}


def _split(pieces: list[Any], shared: str, reference: list[Any]) -> Iterator[Any]:
    for piece in pieces:
        if not isinstance(piece, str):
            yield piece
            continue
        for number, part in enumerate(piece.split(shared)):
            if number:
                yield reference
            yield part


def _named_within(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, str) and len(value) > _LONG:
        return _joined(value, names)
    if isinstance(value, dict):
        return {key: _named(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [_named(each, names) for each in value]
    return value
