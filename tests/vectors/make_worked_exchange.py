"""Writes worked_exchange.json and prints the blocks of docs/spec/client.md, from fixed seeds.

Run from the repository's root: `python -m tests.vectors.make_worked_exchange`. The values are the
same on every run; vectors are only ever added to.
"""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING

from tests.support.sealing.worked_exchange import FILE, X25519, vectors, worked

if TYPE_CHECKING:
    from collections.abc import Mapping

WIDTH = 96


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
