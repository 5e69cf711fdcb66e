"""Core, pure, stdlib only: names of cipher suites. Spec: exchange.md, section 1."""

from __future__ import annotations

import enum
from typing import Final

from sealflow.errors import MalformedError


class SuiteName(enum.StrEnum):
    """A cipher suite as settings and policies name it, of either trust domain.

    The order is that in which clients prefer the suites.

    Example:
        >>> [str(name) for name in SuiteName]
        ['x-wing', 'x25519']
    """

    X_WING = "x-wing"
    X25519 = "x25519"


ALL_SUITES: Final = tuple(SuiteName)


def parse_suites(value: object, what: str) -> tuple[SuiteName, ...]:
    """Return the suites that a list names: at least one, in the order of the list.

    `what`: the name of the list, which begins the error message.

    Raises: MalformedError if the value is not such a list, or names a suite twice.
    """
    names = value if isinstance(value, list | tuple) else ()
    try:
        suites = tuple(map(SuiteName, names))
    except ValueError:
        suites = ()
    if not suites or len(set(suites)) != len(suites):
        known = ", ".join(SuiteName)
        raise MalformedError(f"{what}: not a list of different names out of {known}")
    return suites
