"""The functions that changed verifiers call: they record refusals and leave out one check.

One check of the process can be off. `names` are the names by which changed code finds them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class Switchboard:
    """The check that is off, and the checks that were reached and that refused."""

    def __init__(self) -> None:
        self.off: str | None = None
        self.reached: set[str] = set()
        self.refused: set[str] = set()

    def begin(self) -> None:
        """Forget what was recorded."""
        self.reached, self.refused = set(), set()

    def refuses(self, check: str, value: object) -> object:
        """Return a condition that refuses when it is true; false if the check is off."""
        self.reached.add(check)
        return value if not value or self._stands(check) else False

    def accepts(self, check: str, value: object) -> object:
        """Return a condition that refuses when it is false; true if the check is off."""
        self.reached.add(check)
        return value if value or self._stands(check) else True

    def stands(self, check: str) -> bool:
        """Return whether a refusal that was come to, or an error that was raised, stays."""
        self.reached.add(check)
        return self._stands(check)

    def reach(self, check: str) -> None:
        """Record that a call was made that may raise."""
        self.reached.add(check)

    def reads(self, check: str, read: Callable[[], Any], raw: Callable[[], Any]) -> Any:  # noqa: ANN401
        """Return a field that `read` checks; the unchecked one if it refuses and is off."""
        self.reached.add(check)
        try:
            return read()
        except Exception:
            if self._stands(check):
                raise
        return raw()

    def mismatches(self, check: str, found: Iterable[Any]) -> Iterator[Any]:
        """Yield the mismatches that a function found; none if the check is off."""
        self.reached.add(check)
        for each in found:
            if self._stands(check):
                yield each

    def _stands(self, check: str) -> bool:
        self.refused.add(check)
        return check != self.off


BOARD: Final = Switchboard()

NAMES: Final = {
    "__mutate_refuses__": BOARD.refuses,
    "__mutate_accepts__": BOARD.accepts,
    "__mutate_stands__": BOARD.stands,
    "__mutate_reach__": BOARD.reach,
    "__mutate_reads__": BOARD.reads,
    "__mutate_mismatches__": BOARD.mismatches,
}
