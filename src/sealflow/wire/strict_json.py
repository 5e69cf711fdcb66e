"""Core, pure, stdlib only: a strict JSON parser for bytes of untrusted peers.

It refuses duplicate keys, NaN and infinities, numbers with a fraction or exponent (but see
`parse_object_with_floats`), integers of more than 20 characters, nesting over Python's recursion
limit, trailing bytes, and bytes that are not UTF-8. Spec: envelope.md, section 2.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NoReturn, TypeGuard

from sealflow.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Collection

_MAX_INTEGER_DIGITS = 20


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
        value = decoder.decode(str(text, "utf-8"))
    except (ValueError, RecursionError) as error:
        msg = f"{what}: not strict JSON"
        raise MalformedError(msg) from error
    if not isinstance(value, dict):
        msg = f"{what}: not a JSON object"
        raise MalformedError(msg)
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError
    return value


def _integer(text: str) -> int:
    if len(text) > _MAX_INTEGER_DIGITS:
        raise ValueError
    return int(text)


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
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_finite, parse_constant=_refuse
)
