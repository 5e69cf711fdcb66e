"""Core, pure, stdlib only: one thing in genuine claims that a policy does not accept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """What differs, and what can be done about it.

    `code`: a stable word, of the list in docs/spec/attestation.md. `field`: the key of the policy
    that asks for it; empty for what no policy can allow.
    """

    code: str
    field: str
    expected: str
    got: str
    hint: str

    def __str__(self) -> str:
        """Write it for people."""
        return f"{self.code}: expected {self.expected}, got {self.got}; {self.hint}"

    def as_json(self) -> dict[str, object]:
        """Give it for machines."""
        return {
            "code": self.code,
            "field": self.field,
            "expected": self.expected,
            "got": self.got,
            "hint": self.hint,
        }


def equal(code: str, field: str, expected: str, got: str, hint: str) -> Iterator[Mismatch]:
    """Complain unless both are the same."""
    if got != expected:
        yield Mismatch(code=code, field=field, expected=expected, got=got or "none", hint=hint)


def among(
    code: str, field: str, accepted: Collection[str], got: str, hint: str
) -> Iterator[Mismatch]:
    """Complain unless the value is one of those accepted."""
    if got not in accepted:
        expected = " or ".join(sorted(map(str, accepted))) or "nothing"
        yield Mismatch(code=code, field=field, expected=expected, got=got or "none", hint=hint)


def at_least(code: str, field: str, least: int, got: int, hint: str) -> Iterator[Mismatch]:
    """Complain about a number that is too low."""
    if got < least:
        yield Mismatch(
            code=code, field=field, expected=f"at least {least}", got=str(got), hint=hint
        )


def bits(code: str, must: int, may: int, got: int, hint: str) -> Iterator[Mismatch]:
    """Complain unless all bits of `must` are set, and none that are neither in it nor in `may`."""
    if got & must != must or got & ~(must | may):
        expected = f"{must:#x}" + (f", and of {may:#x} any" if may else "")
        yield Mismatch(code=code, field="", expected=expected, got=f"{got:#x}", hint=hint)
