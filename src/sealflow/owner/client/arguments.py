"""Owner: checks the arguments of requests, so that a wrong one is named before anything is sent."""

from __future__ import annotations

import numbers
import operator
from collections.abc import Mapping
from typing import Final, SupportsIndex

from sealflow.errors import InvalidInputError
from sealflow.openinfer.messages import MAX_CLASSES

MAX_TIMEOUT_S: Final = 86_400.0
"""The most that a gateway waits and a deployment allows."""
_SHOWN: Final = 60


def check_request(model: object, *, top_k: object, timeout_s: object, **flags: object) -> float:
    """Check what every request has, and return its time limit in seconds.

    Raises: InvalidInputError that names the argument, its value and the rule.
    """
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise _wrong(name, flag, "True or False")
    if not isinstance(model, str):
        raise _wrong("model", model, "text: name, or name:version")
    if top_k is not None and not 0 <= whole_number("top_k", top_k) <= MAX_CLASSES:
        raise _wrong("top_k", top_k, f"0 to {MAX_CLASSES}, or None")
    return check_timeout(timeout_s)


def check_timeout(timeout_s: object, *, least: float = 0.001) -> float:
    """Check a time limit in seconds, and return it.

    Raises: InvalidInputError.
    """
    rule = f"a number of seconds from {least:g} to {MAX_TIMEOUT_S:.0f}"
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, numbers.Real):
        raise _wrong("timeout_s", timeout_s, rule)
    seconds = float(timeout_s)
    if not least <= seconds <= MAX_TIMEOUT_S:  # which NaN is not, either
        raise _wrong("timeout_s", timeout_s, rule)
    return seconds


def check_concurrency(concurrency: object) -> None:
    """Check how many requests may be on their way at a time.

    Raises: InvalidInputError.
    """
    if whole_number("concurrency", concurrency) < 1:
        raise _wrong("concurrency", concurrency, "1 or more")


def check_tensors(tensors: object) -> None:
    """Check that tensors come by name.

    Raises: InvalidInputError.
    """
    if not isinstance(tensors, Mapping) or not all(isinstance(name, str) for name in tensors):
        raise _wrong("tensors", tensors, "a mapping from names of inputs to arrays")


def whole_number(name: str, value: object) -> int:
    """Return an integer of any type that has one, numpy's too.

    Raises: InvalidInputError.
    """
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise _wrong(name, value, "a whole number")
    try:
        return operator.index(value)
    except TypeError as error:  # an array
        raise _wrong(name, value, "a whole number") from error


def _wrong(name: str, value: object, rule: str) -> InvalidInputError:
    return InvalidInputError(f"{name} is {repr(value)[:_SHOWN]}: it must be {rule}")
