"""The list of known survivors: `survivors.toml`, in groups that share a reason."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class ListError(Exception):
    """A list of survivors that cannot be used."""


def read_survivors(path: Path) -> dict[str, str]:
    """Return the reason of each listed survivor by the check's id; empty without a file.

    Raises: ListError for a group without a reason, and for an id that is listed twice.
    """
    if not path.exists():
        return {}
    reasons: dict[str, str] = {}
    for group in tomllib.loads(path.read_text(encoding="utf-8")).get("group", []):
        reason = str(group.get("reason", "")).strip()
        for check in group.get("checks", []):
            if not reason or check in reasons:
                problem = "is listed twice" if reason else "has no reason"
                raise ListError(f"{path}: {check} {problem}")
            reasons[check] = reason
    return reasons
