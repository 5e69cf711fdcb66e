"""Host: the result of one check of `sealflow doctor`: verdict, detail and fix."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Verdict(enum.StrEnum):
    """The result of a check. After `fail` Sealflow cannot run as requested, after `warn` it can."""

    PASS = "pass"  # noqa: S105 - a verdict
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check. `fix` says how to fix the problem; it is empty for `pass`."""

    check: str
    verdict: Verdict
    detail: str
    fix: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the finding as a JSON object."""
        return {
            "check": self.check,
            "verdict": self.verdict.value,
            "detail": self.detail,
            "fix": self.fix,
        }


def passed(check: str, detail: str) -> Finding:
    """Return a finding without a problem."""
    return Finding(check=check, verdict=Verdict.PASS, detail=detail)


def warned(check: str, detail: str, fix: str) -> Finding:
    """Return a finding that may become a problem, with its fix."""
    return Finding(check=check, verdict=Verdict.WARN, detail=detail, fix=fix)


def failed(check: str, detail: str, fix: str) -> Finding:
    """Return a finding that keeps Sealflow from running as requested, with its fix."""
    return Finding(check=check, verdict=Verdict.FAIL, detail=detail, fix=fix)
