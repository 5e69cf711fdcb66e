"""Core, pure, stdlib only: a strict JSON parser for bytes of untrusted peers.

It refuses duplicate keys, NaN and infinities, numbers with a fraction or exponent (but see
`parse_object_with_floats`), `-0`, integers of more than 20 characters, nesting of more than
`MAX_DEPTH`, lone surrogates, trailing bytes, and bytes that are not UTF-8. No rule depends on the
Python version. Spec: envelope.md, section 2.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, NoReturn, TypeGuard

from sealflow.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_DEPTH: Final = 32
"""Objects and lists within each other, the outermost object included."""
_MAX_INTEGER_CHARACTERS: Final = 20
_NO_BRACKETS: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[^][{}"]+', re.DOTALL)
"""Strings, also one without an end, and what is between brackets; its time is linear."""


def parse_object(text: bytes | bytearray | memoryview, what: str) -> dict[str, object]:
    """Parse one JSON object without fractions; `what` names it in errors.

    Raises: MalformedError.
    """
    return _object(_DECODER, text, what)


def parse_object_with_floats(text: bytes | bytearray | memoryview, what: str) -> dict[str, object]:
    """Parse one JSON object that may hold finite numbers with fractions.

    Raises: MalformedError.
    """
    return _object(_FLOAT_DECODER, text, what)


def require_keys(
    value: dict[str, object], required: Collection[str], what: str, optional: Collection[str] = ()
) -> None:
    """Check that an object has all required keys, and no others but the optional ones.

    Raises: MalformedError.
    """
    missing = [key for key in required if key not in value]
    unknown = [key for key in value if key not in required and key not in optional]
    if missing or unknown:
        keys = ", ".join(
            [f"missing {key}" for key in missing] + [f"unknown {key[:40]!r}" for key in unknown]
        )
        msg = f"{what}: {keys}"
        raise MalformedError(msg)


def canonical_json(value: dict[str, object]) -> bytes:
    """Return an object as JSON in canonical form: sorted keys, no spaces, ASCII."""
    return _ENCODER.encode(value).encode()


def is_integer(value: object) -> TypeGuard[int]:
    """Return whether a value is an integer; a boolean is not, though it is an `int` in Python."""
    return isinstance(value, int) and not isinstance(value, bool)


def _object(
    decoder: json.JSONDecoder, text: bytes | bytearray | memoryview, what: str
) -> dict[str, object]:
    try:
        decoded = str(text, "utf-8")
        _check_depth(decoded)
        value = decoder.decode(decoded)
        # The first search is many times faster than the second.
        if "\\" in decoded and "\\u" in decoded:
            _check_surrogates(value)
    except ValueError as error:
        msg = f"{what}: not strict JSON"
        raise MalformedError(msg) from error
    if not isinstance(value, dict):
        msg = f"{what}: not a JSON object"
        raise MalformedError(msg)
    return value


def _check_depth(text: str) -> None:
    """Raise ValueError for a nesting over `MAX_DEPTH`, in linear time and without recursion."""
    if _count(text, "{") + _count(text, "[") <= MAX_DEPTH:
        return
    brackets = _NO_BRACKETS.sub("", text).replace("{", "[").replace("}", "]")
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace("[]", "")
    if brackets:
        raise ValueError


def _count(text: str, bracket: str) -> int:
    """Return how often a bracket occurs, at most `MAX_DEPTH` + 1.

    For a text of few brackets, such as one of long base64, this is many times faster than `count`.
    """
    found, at = 0, text.find(bracket)
    while at >= 0 and found <= MAX_DEPTH:
        found, at = found + 1, text.find(bracket, at + 1)
    return found


def _check_surrogates(value: object) -> None:
    """Raise ValueError for an escaped lone surrogate: it has no UTF-8 form."""
    json.dumps(value, ensure_ascii=False).encode()


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError
    return value


def _integer(text: str) -> int:
    if len(text) > _MAX_INTEGER_CHARACTERS or text == "-0":
        raise ValueError
    return int(text)


def _number(text: str) -> int | float:
    """Return an integer, or the float -0.0 for `-0`, which is a number but not an integer."""
    if len(text) > _MAX_INTEGER_CHARACTERS:
        raise ValueError
    return -0.0 if text == "-0" else int(text)


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError
    return value


def _refuse(_text: str) -> NoReturn:
    raise ValueError


_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
)
_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_refuse, parse_constant=_refuse
)
_FLOAT_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_number, parse_float=_finite, parse_constant=_refuse
)
