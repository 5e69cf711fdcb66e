"""Core, pure, stdlib only: typed reading of the tables that policies and deployments hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sealflow.errors import MalformedError
from sealflow.wire.fields import texts

if TYPE_CHECKING:
    from collections.abc import Mapping


_MEASUREMENT: Final = re.compile(r"[0-9a-f]{64}|[0-9a-f]{96}")
_ADVISORY: Final = re.compile(r"INTEL-SA-\d{5}")


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
