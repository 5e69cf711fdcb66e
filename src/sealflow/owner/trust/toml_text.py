"""Owner, pure: writes tables of strings, numbers, booleans and lists as TOML."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def table_lines(table: Mapping[str, object], name: str = "") -> Iterator[str]:
    """Yield the lines of a table: first values, then inner tables.

    `name`: the table's path; empty for the top level. TOML files must be encoded as UTF-8.
    """
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
    # JSON's strings, numbers, booleans and lists are valid TOML, with two exceptions: TOML has no
    # escapes of surrogates, and requires an escape of DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
