"""Host: what a look at a machine found: one line, a verdict, and how to mend it."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Verdict(enum.StrEnum):
    """How bad it is. Only `fail` keeps what was asked for from working."""

    PASS = "pass"  # noqa: S105 - a verdict
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line. `fix` is empty for what is well."""

    check: str
    verdict: Verdict
    detail: str
    fix: str = ""

    def to_json(self) -> dict[str, str]:
        """Return it for machines."""
        return {
            "check": self.check,
            "verdict": self.verdict.value,
            "detail": self.detail,
            "fix": self.fix,
        }


def passed(check: str, detail: str) -> Finding:
    """Say that something is well."""
    return Finding(check=check, verdict=Verdict.PASS, detail=detail)


def warned(check: str, detail: str, fix: str) -> Finding:
    """Say that something may become a problem."""
    return Finding(check=check, verdict=Verdict.WARN, detail=detail, fix=fix)


def failed(check: str, detail: str, fix: str) -> Finding:
    """Say that something keeps what was asked for from working."""
    return Finding(check=check, verdict=Verdict.FAIL, detail=detail, fix=fix)
