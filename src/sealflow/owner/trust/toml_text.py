"""Owner, pure: TOML from tables of strings, numbers, booleans and lists of them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def table_lines(table: Mapping[str, object], name: str = "") -> Iterator[str]:
    """Write a table, plain keys first, then the tables within it. To be encoded in UTF-8."""
    if name:
        yield f"\n[{name}]"
    inner: list[tuple[str, Mapping[str, object]]] = []
    for key, value in table.items():
        if isinstance(value, dict):
            inner.append((f"{name}.{key}" if name else key, value))
        else:
            yield f"{_key(key)} = {_value(value)}"
    for path, value in inner:
        yield from table_lines(value, path)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _value(key)


def _value(value: object) -> str:
    # JSON's strings, numbers, booleans and lists are TOML's too, but for two things: TOML has no
    # escapes of surrogates, and wants one for DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
