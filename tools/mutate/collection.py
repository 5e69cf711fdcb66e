"""Collect tests with pytest in this process, and hand them to a function that runs them."""

from __future__ import annotations

from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING

import pytest

from tools.mutate import targets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class CollectionError(Exception):
    """Tests that cannot be imported, or none at all."""


@dataclass(frozen=True, slots=True)
class Collected:
    """The collected tests. `left_out`: those whose verifiers run in other processes."""

    used: list[pytest.Item]
    left_out: list[pytest.Item]


class _Plugin:
    """A plugin of pytest that calls `use` instead of running the tests."""

    def __init__(self, use: Callable[[Collected], None]) -> None:
        self._use = use
        self.used = False
        self.error: Exception | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Sort the tests by their fixtures, and hand them on."""
        found = Collected([], [])
        for test in session.items:
            fixtures = targets.OTHER_PROCESSES.intersection(getattr(test, "fixturenames", ()))
            (found.left_out if fixtures else found.used).append(test)
        if session.testsfailed == 0 and found.used:
            self.used = True
            try:
                self._use(found)
            except Exception as error:  # noqa: BLE001 - pytest would only print it
                self.error = error
        return True


def with_tests(paths: Sequence[str], use: Callable[[Collected], None]) -> None:
    """Collect the tests below `paths`, and call `use` with them.

    Raises: CollectionError, and the errors of `use`.
    """
    plugin = _Plugin(use)
    # Captured output would be one file that all forks write to.
    options = ["-qq", "--capture=no", "--no-header", "--no-summary", "-p", "no:cacheprovider"]
    with redirect_stdout(StringIO()) as output:
        pytest.main([*options, *paths], plugins=[plugin])
    if plugin.error is not None:
        raise plugin.error
    if not plugin.used:
        raise CollectionError(f"the tests cannot be collected:\n{output.getvalue()}")
