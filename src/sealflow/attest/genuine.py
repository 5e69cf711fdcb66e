"""Core, pure, stdlib only: what a verifier of one kind of hardware hands on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sealflow.attest.reports import Platform, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Genuine:
    """A report that hardware signed. `report_digest`: SHA-256 of the signed bytes, in hex."""

    report: Report
    platform: Platform
    report_digest: str
