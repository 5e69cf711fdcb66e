"""Owner, pure: TOML from tables of strings, numbers, booleans and lists of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def table_lines(table: Mapping[str, object], name: str = "") -> Iterator[str]:
    """Write a table, plain keys first, then the tables within it; keys must be bare keys."""
    if name:
        yield f"\n[{name}]"
    inner: list[tuple[str, Mapping[str, object]]] = []
    for key, value in table.items():
        if isinstance(value, dict):
            inner.append((f"{name}.{key}" if name else key, value))
        else:
            # JSON's strings, numbers, booleans and lists are TOML's too.
            yield f"{_key(key)} = {json.dumps(value)}"
    for path, value in inner:
        yield from table_lines(value, path)


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() else json.dumps(key)
