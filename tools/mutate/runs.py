"""Run some of the collected tests in this process and record which checks they make refuse."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tools.mutate.switches import BOARD

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest


@dataclass(slots=True)
class TestRun:
    """One test. `refused`: the checks that it makes refuse. `failure`: its error, or None."""

    __test__ = False

    test: str
    reached: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    duration_s: float = 0.0
    failure: str | None = None


@dataclass(slots=True, eq=False)
class _Reports:
    """A plugin of pytest that keeps what became of the running test."""

    duration_s: float = 0.0
    failures: list[str] = field(default_factory=list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep one report: of its set-up, call or end."""
        self.duration_s += report.duration
        if report.failed:
            self.failures.append(report.longreprtext)


def run_tests(tests: Sequence[pytest.Item], *, off: str | None, alone: bool) -> list[TestRun]:
    """Run tests in their order with one check off, until one fails.

    `alone`: whether no fixture is shared between them.
    """
    found = []
    BOARD.off = off
    for index, test in enumerate(tests):
        after = None if alone or index + 1 == len(tests) else tests[index + 1]
        found.append(_run_test(test, after))
        if found[-1].failure is not None:
            test.session._setupstate.teardown_exact(None)  # noqa: SLF001 - stops its servers
            break
    return found


def _run_test(test: pytest.Item, after: pytest.Item | None) -> TestRun:
    reports = _Reports()
    test.config.pluginmanager.register(reports)
    BOARD.begin()
    try:
        test.ihook.pytest_runtest_protocol(item=test, nextitem=after)
    finally:
        test.config.pluginmanager.unregister(reports)
    return TestRun(
        test=test.nodeid,
        reached=frozenset(BOARD.reached),
        refused=frozenset(BOARD.refused),
        duration_s=reports.duration_s,
        failure="\n".join(reports.failures) if reports.failures else None,
    )
