"""Host, pure: collateral as it travels with evidence, and how long it lasts."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Collateral with its validity, as its issuers state it. Nothing is verified.

    `issued_s`, `expires_s`: the newest start and the first end among its parts, in Unix seconds.
    """

    collateral: bytes = field(repr=False)
    issued_s: int
    expires_s: int

    @property
    def renew_s(self) -> int:
        """When to fetch anew: once half of the time is gone."""
        return (self.issued_s + self.expires_s) // 2
