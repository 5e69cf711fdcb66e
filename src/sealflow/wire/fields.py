"""Core, pure: typed readers for the values of hostile JSON and TOML."""

from __future__ import annotations

import enum
from base64 import b64decode
from typing import TYPE_CHECKING, Final, TypeVar

from sealflow.errors import MalformedError
from sealflow.wire.strict_json import is_integer, require_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


_MAX_ITEMS: Final = 256
_MAX_TIME_MS: Final = 2**53 - 1
_T = TypeVar("_T")
_Word = TypeVar("_Word", bound=enum.StrEnum)


def base64_bytes(text: object, limit: int, what: str) -> bytes:
    """Accept padded standard base64 of at most `limit` bytes.

    Raises: MalformedError.
    """
    if not isinstance(text, str) or len(text) > (limit + 2) // 3 * 4:
        raise MalformedError(f"{what}: not base64, or over {limit} bytes")
    try:
        found = b64decode(text, validate=True)
    except ValueError as error:
        raise MalformedError(f"{what}: not base64") from error
    if len(found) > limit:
        raise MalformedError(f"{what}: over {limit} bytes")
    return found


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


def list_of(value: object, parse: Callable[[object], _T], most: int, what: str) -> tuple[_T, ...]:
    """Read a list of at most `most` items.

    Raises: MalformedError.
    """
    if not isinstance(value, list) or len(value) > most:
        raise MalformedError(f"directory: {what} are not a list of at most {most}")
    return tuple(map(parse, value))


def time_ms(value: object) -> int:
    """Accept a time in Unix ms.

    Raises: MalformedError.
    """
    if not is_integer(value) or not 0 <= value <= _MAX_TIME_MS:
        raise MalformedError("directory: not a time in milliseconds")
    return value


def json_object(value: object, what: str) -> dict[str, object]:
    """Accept a JSON object.

    Raises: MalformedError.
    """
    if not isinstance(value, dict):
        msg = f"{what}: not a JSON object"
        raise MalformedError(msg)
    return value


def enum_member(words: type[_Word], value: object, what: str) -> _Word:
    """Accept one of a closed list of words.

    Raises: MalformedError, naming the list.
    """
    try:
        return words(value)  # type: ignore[arg-type]  # any object may be asked for
    except ValueError as error:
        msg = f"{what} is not one of {', '.join(words)}"
        raise MalformedError(msg) from error


def integer(value: object, what: str) -> int:
    """Accept an integer.

    Raises: MalformedError.
    """
    if not is_integer(value):
        msg = f"{what} is not an integer"
        raise MalformedError(msg)
    return value
