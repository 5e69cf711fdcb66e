"""Core, pure, stdlib only: one thing in genuine claims that a policy does not accept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealflow.errors import Mismatch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


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
