"""Owner, pure: writes TOML in a canonical form: equal values give equal bytes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def encode_toml(table: Mapping[str, Any]) -> str:
    """Return a table as TOML, with names sorted.

    Values are tables, strings, integers, booleans, and lists of these.

    Raises: TypeError for any other value.
    """
    return "\n".join(_table(table, ())) + "\n"


def _table(table: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[str]:
    inner = {name: value for name, value in table.items() if isinstance(value, dict)}
    if above:
        yield f"\n[{'.'.join(map(_key, above))}]"
    for name in sorted(table.keys() - inner.keys()):
        yield f"{_key(name)} = {_value(table[name])}"
    for name in sorted(inner):
        yield from _table(inner[name], (*above, name))


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _value(value: object) -> str:
    # JSON's strings, integers and booleans are valid TOML.
    if isinstance(value, str | int):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "[\n" + "".join(f"  {_value(each)},\n" for each in value) + "]"
    if isinstance(value, dict):
        pairs = (f"{_key(name)} = {_value(value[name])}" for name in sorted(value))
        return "{ " + ", ".join(pairs) + " }"
    raise TypeError(f"a value of type {type(value).__name__} cannot be written as TOML")
