"""Owner, pure: writes tables of strings, numbers, booleans, lists and tables as TOML."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def table_lines(
    table: Mapping[str, object], name: str = "", *, listed: bool = False
) -> Iterator[str]:
    """Yield the lines of a table: first values, then inner tables and lists of tables.

    `name`: the table's path; empty for the top level. `listed`: whether it is one of a list. TOML
    files must be encoded as UTF-8.
    """
    if name:
        yield f"\n[[{name}]]" if listed else f"\n[{name}]"
    inner: list[tuple[str, list[Mapping[str, object]], bool]] = []
    for key, value in table.items():
        path = f"{name}.{key}" if name else key
        if isinstance(value, dict):
            inner.append((path, [value], False))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            inner.append((path, value, True))
        else:
            yield f"{_key(key)} = {_value(value)}"
    for path, tables, several in inner:
        for each in tables:
            yield from table_lines(each, path, listed=several)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _value(key)


def _value(value: object) -> str:
    # JSON's strings, numbers, booleans and lists are valid TOML, with two exceptions: TOML has no
    # escapes of surrogates, and requires an escape of DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
