"""Search for survivors: run the tests once, then again with each check off."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Final

from tools.mutate.children import CRASHED, HUNG, Done, Job, run_jobs
from tools.mutate.runs import run_tests

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    import pytest

    from tools.mutate.runs import TestRun

_BASE_LIMIT_S: Final = 300.0
_LIMIT_S: Final = 10.0
_TIMES: Final = 5


class BrokenTestsError(Exception):
    """Tests that fail while every check is on: nothing can be said."""


@dataclass(slots=True, kw_only=True)
class Verdict:
    """The result of a search with one check off.

    `noticed_by`: the test that failed, or None. `how`: `failed`, `hung` or `crashed`; for a
    survivor why it survived.
    """

    check: str
    noticed_by: str | None = None
    how: str


@dataclass(slots=True)
class Survey:
    """The tests that make each check refuse, by the results of a run with every check on."""

    runs: dict[str, TestRun] = field(default_factory=dict)
    reached: set[str] = field(default_factory=set)
    refused_in: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, run: TestRun) -> None:
        """Add a test."""
        self.runs[run.test] = run
        self.reached |= run.reached
        for check in run.refused:
            self.refused_in[check].append(run.test)

    def tests_of(self, check: str) -> list[str]:
        """Return the tests in which a check refuses, the quickest first."""
        return sorted(self.refused_in.get(check, ()), key=lambda test: self.runs[test].duration_s)


def search(
    checks: Collection[str],
    tests: Iterable[pytest.Item],
    step: Callable[[int], None] = lambda _done: None,
) -> dict[str, Verdict]:
    """Return the verdict of each check with these tests; `step` is told how many are done."""
    items = {test.nodeid: test for test in tests}
    survey = _survey(items)
    verdicts = {
        check: Verdict(
            check=check,
            how="no test makes it refuse" if check in survey.reached else "no test reaches it",
        )
        for check in checks
    }
    refusing = [check for check in checks if check in survey.refused_in]
    jobs = (_job(check, items, survey) for check in refusing)
    for count, done in enumerate(run_jobs(jobs), len(verdicts) - len(refusing) + 1):
        verdicts[done.key] = _verdict(done, survey.tests_of(done.key))
        step(count)
    noticing = {each.noticed_by for each in verdicts.values() if each.how == "failed"}
    _require_passing([items[test] for test in items if test in noticing], alone=True)
    return verdicts


def _verdict(done: Done[str], tests: list[str]) -> Verdict:
    """Return the verdict of a check after the tests in which it refuses ran without it."""
    if done.failure is not None and done.failure not in (HUNG, CRASHED):
        raise BrokenTestsError(f"{done.key}: {done.failure}")
    if done.failure is not None:
        return Verdict(check=done.key, noticed_by=tests[0], how=done.failure)
    last: TestRun = done.result[-1]
    if last.failure is not None:
        return Verdict(check=done.key, noticed_by=last.test, how="failed")
    how = f"masked: it refuses in {len(tests)} tests, and all of them pass without it"
    return Verdict(check=done.key, how=how)


def _survey(items: dict[str, pytest.Item]) -> Survey:
    """Run all tests with every check on."""
    survey = Survey()
    for run in _require_passing(list(items.values()), alone=False):
        survey.add(run)
    return survey


def _require_passing(tests: list[pytest.Item], *, alone: bool) -> list[TestRun]:
    """Run tests with every check on, those of a file in one child.

    Raises: BrokenTestsError if one fails, as it would also fail with a check off.
    """
    jobs = [
        Job(path, partial(run_tests, list(group), off=None, alone=alone), _BASE_LIMIT_S)
        for path, group in groupby(tests, lambda test: str(test.path))
    ]
    found = []
    for done in run_jobs(jobs):
        if done.failure is not None:
            raise BrokenTestsError(f"{done.key}: {done.failure}")
        found += done.result
        for run in done.result:
            if run.failure is not None:
                raise BrokenTestsError(f"{run.test} fails with every check on:\n{run.failure}")
    return found


def _job(check: str, items: dict[str, pytest.Item], survey: Survey) -> Job[str]:
    names = survey.tests_of(check)
    limit_s = _LIMIT_S + _TIMES * sum(survey.runs[name].duration_s for name in names)
    tests = [items[name] for name in names]
    return Job(check, partial(run_tests, tests, off=check, alone=False), limit_s)
