"""Writes worked_exchange.json and prints the blocks of docs/spec/client.md, from fixed seeds.

Run from the repository's root: `python -m tests.vectors.make_worked_exchange`. The values are the
same on every run; vectors are only ever added to.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.sealing.worked_exchange import X25519, XWING, worked

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = Path(__file__).parent / "worked_exchange.json"
WIDTH = 96


def vectors() -> dict[str, Any]:
    """Return the content of the file."""
    return {
        "description": (
            "One request and its reply in each suite of the hardware trust domain, with every "
            "value between, in hex and in the order of docs/spec/client.md, section 11. What is "
            "random in use counts up here: an implementation computes all other values."
        ),
        "cases": [
            {"name": name, "rule": "exchange 5.1", "suite": suite, "steps": worked(suite)}
            for name, suite in (("X25519", X25519), ("X-Wing", XWING))
        ],
    }


def block(steps: Mapping[str, str], *names: str) -> str:
    """Return the lines that show some values on the page."""
    lines = []
    for name in names:
        lines.append(f"{name} ({len(steps[name]) // 2} bytes)")
        lines += [f"  {line}" for line in textwrap.wrap(steps[name], WIDTH)]
    return "\n".join(lines)


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(), indent=1) + "\n", encoding="utf-8")
    shown = worked(X25519)
    print(block(shown, *shown))  # noqa: T201 - for the page
