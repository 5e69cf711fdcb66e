"""Builds and writes vector files: one case a line, large values once."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.vectors.make.pending import PENDING

FOLDER = Path(__file__).parents[1]
MAX_BYTES = 1_000_000
_WORTH_SHARING = 100
_LONG = 2000
_RUN = re.compile(r"(.{4})\1{99,}", re.DOTALL)


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
        assert name not in {each["name"] for each in self.cases}, name
        self.cases.append(
            {"name": name, "description": description, "rule": rule, **inputs, "expect": expect}
        )

    def write(self) -> None:
        """Write the file."""
        late = set() if "VECTORS_ALL" in os.environ else set(PENDING.get(self.path, ()))
        assert late <= {case["name"] for case in self.cases}, late
        self.cases = [case for case in self.cases if case["name"] not in late]
        names = {
            json.dumps(value, sort_keys=True): name
            for name, value in self.shared.items()
            if len(json.dumps(value)) > _WORTH_SHARING
        }
        head = {
            "description": self.description,
            "rules": sorted({case["rule"] for case in self.cases}, key=_order),
        }
        shared = {
            name: _named_within(value, {each: of for each, of in names.items() if of != name})
            for name, value in self.shared.items()
        }
        cases = [_named_within(case, names) for case in self.cases]
        text = json.dumps(head, indent=1, ensure_ascii=False)[:-2]
        if shared:
            lines = [f"  {_text(name)}: {_text(value)}" for name, value in shared.items()]
            text += ',\n "shared": {\n' + ",\n".join(lines) + "\n }"
        text += ',\n "cases": [\n' + ",\n".join(f"  {_text(case)}" for case in cases) + "\n ]\n}\n"
        assert len(text) < MAX_BYTES, f"{self.path}: {len(text)} bytes"
        target = FOLDER / self.path
        target.parent.mkdir(exist_ok=True)
        target.write_text(text)


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
    long = {json.loads(each): name for each, name in names.items() if each.startswith('"')}
    shared = "|".join(re.escape(each) for each in sorted(long, key=len, reverse=True))
    pieces: list[Any] = []
    for number, part in enumerate(re.split(f"({shared})", value) if shared else [value]):
        if number % 2:
            pieces.append([f"@{long[part]}", 1])
            continue
        at = 0
        for run in _RUN.finditer(part):
            pieces += [part[at : run.start()], [run[1], len(run[0]) // 4]]
            at = run.end()
        pieces.append(part[at:])
    kept = [each for each in pieces if each]
    return value if kept == [value] else {"join": kept}


def _named_within(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, str) and len(value) > _LONG:
        return _joined(value, names)
    if isinstance(value, dict):
        return {key: _named(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [_named(each, names) for each in value]
    return value
