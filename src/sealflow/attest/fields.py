"""Core, pure, stdlib only: typed reading of the tables that policies and deployments hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sealflow.errors import MalformedError
from sealflow.wire.strict_json import is_integer, require_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_ITEMS: Final = 256
_MEASUREMENT: Final = re.compile(r"[0-9a-f]{64}|[0-9a-f]{96}")
_ADVISORY: Final = re.compile(r"INTEL-SA-\d{5}")


def require_table(
    value: object, what: str, optional: tuple[str, ...], required: tuple[str, ...] = ()
) -> dict[str, object]:
    """Accept a table with no other keys than these.

    Raises: MalformedError.
    """
    if not isinstance(value, dict):
        raise MalformedError(f"{what}: not a table")
    require_keys(value, required, what, optional)
    return value


def texts(value: Mapping[str, object], name: str, what: str) -> list[str]:
    """Read a list of strings; absent is empty.

    Raises: MalformedError.
    """
    found = value.get(name, [])
    if (
        not isinstance(found, list)
        or len(found) > _MAX_ITEMS
        or not all(isinstance(each, str) for each in found)
    ):
        raise MalformedError(f"{what}: {name} is not a list of at most {_MAX_ITEMS} strings")
    return found


def measurements(value: Mapping[str, object], name: str, what: str) -> frozenset[str]:
    """Read a list of measurements, of 64 (SHA-256) or 96 (SHA-384) lower-case hex digits.

    Raises: MalformedError.
    """
    found = texts(value, name, what)
    for each in found:
        if _MEASUREMENT.fullmatch(each) is None:
            raise MalformedError(
                f"{what}: {name} holds {each[:20]!r}, not 64 or 96 lower-case hex digits"
            )
    return frozenset(found)


def advisories(value: Mapping[str, object], name: str, what: str) -> frozenset[str]:
    """Read a list of Intel's advisory ids.

    Raises: MalformedError.
    """
    found = texts(value, name, what)
    for each in found:
        if _ADVISORY.fullmatch(each) is None:
            raise MalformedError(f"{what}: {name} holds {each[:20]!r}, not like INTEL-SA-00615")
    return frozenset(found)


def number(value: Mapping[str, object], name: str, what: str, default: int, most: int) -> int:
    """Read an integer of 0 to `most`.

    Raises: MalformedError.
    """
    found = value.get(name, default)
    if not is_integer(found) or not 0 <= found <= most:
        raise MalformedError(f"{what}: {name} is not an integer of 0 to {most}")
    return found


def flag(value: Mapping[str, object], name: str, what: str) -> bool:
    """Read true or false; absent is false.

    Raises: MalformedError.
    """
    found = value.get(name, False)
    if not isinstance(found, bool):
        raise MalformedError(f"{what}: {name} is neither true nor false")
    return found
