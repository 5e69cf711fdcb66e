"""Cases that are right by the specification and are not held by the library yet, by file."""

from __future__ import annotations

from typing import Final

PENDING: Final[dict[str, tuple[str, ...]]] = {}
