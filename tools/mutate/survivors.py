"""The list of known survivors: `survivors.toml`, in groups that share a reason."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
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


def prune_survivors(path: Path, stale: Collection[str]) -> None:
    """Delete checks from the list, each of which is a line of the file."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if _check_of(line) not in stale))


def _check_of(line: str) -> str | None:
    """Return the check that a line of the list holds, or None."""
    try:
        [check] = tomllib.loads(f"checks = [{line.strip()}]")["checks"]
    except (tomllib.TOMLDecodeError, ValueError):
        return None
    return str(check)
