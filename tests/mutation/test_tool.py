"""The tool that switches off checks is not blind: it names a check that no test notices."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parents[2]

VERIFIER = """
class Refused(Exception):
    pass


class Mismatch:
    pass


def check_length(data):
    if len(data) > 8:
        raise Refused


def mismatches(data) -> "Iterator[Mismatch]":
    if data == b"8":
        yield Mismatch()


def is_accepted(data) -> bool:
    return data != b"@" and not data.startswith(b"!")


def verify(data):
    check_length(data)
    if not is_accepted(data):
        raise Refused
    if data.startswith(b"-") or not 3 <= len(data) + 2 <= 8:
        raise Refused
    found = []
    found.extend(all_mismatches(data))
    if found:
        raise Refused
    try:
        return number(data)
    except ValueError as error:
        raise Refused from error


def all_mismatches(data):
    yield from mismatches(data)


def number(data):
    match data:
        case b"seven":
            return 7
        case b"eight":
            raise ValueError
    return len(data)
"""
TESTS = """
import pytest
from madeup.verifier import Refused, verify

def test_good():
    assert verify(b"seven") == 7
    assert verify(b"12") == 2

@pytest.mark.parametrize("data", [{cases}])
def test_refused(data):
    with pytest.raises(Refused):
        verify(data)
"""
CHECKS = {
    'mismatches: data == b"8"': "8",
    'is_accepted: not data != b"@"': "@",
    'is_accepted: data.startswith(b"!")': "!",
    "verify: not is_accepted(data)": "@",
    'verify: data.startswith(b"-")': "-1",
    "verify: not 3 <= len(data) + 2": "",
    "verify: not len(data) + 2 <= 8": "1234567",
    "verify: found": "8",
    "verify: check_length(data)": "123456789",
    "check_length: len(data) > 8": "123456789",
    "verify: raise Refused from error": "eight",
    "all_mismatches: mismatches(data)": "8",
    "number: raise ValueError": "eight",
}
"""Each check of the verifier, and data that it alone refuses."""

RULES = {"!": 'startswith(b"!")', "1234567": "<= len(data) + 2 <= 8"}
"""Parts of the lines of two of them, by their data."""

MASKED = {"verify: check_length(data)", "check_length: len(data) > 8"}
"""The other check of lengths refuses all that these refuse."""


@dataclass(frozen=True, slots=True)
class Project:
    """A made-up package with tests, below a folder."""

    folder: Path

    def write(self, *cases: str) -> None:
        """Write the verifier, and tests with these cases to refuse."""
        package = self.folder / "src" / "madeup"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").touch()
        (package / "verifier.py").write_text(VERIFIER)
        quoted = ", ".join(repr(case.encode()) for case in cases)
        (self.folder / "test_vectors.py").write_text(TESTS.format(cases=quoted))
        settings = "[pytest]\nasyncio_default_fixture_loop_scope = function\n"
        (self.folder / "pytest.ini").write_text(settings)

    def list_survivors(self, *checks: str, reason: str = "it is an example") -> None:
        """Write the list of survivors."""
        text = f"[[group]]\nreason = {json.dumps(reason)}\nchecks = [\n"
        text += "".join(f"  {json.dumps(check)},\n" for check in checks) + "]\n"
        (self.folder / "survivors.toml").write_text(text)

    def mutate(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run the tool."""
        command = [sys.executable, "-m", "tools.mutate", "--source", str(self.folder / "src")]
        command += ["--verifiers", "madeup.verifier", "--tests", str(self.folder)]
        command += ["--survivors", str(self.folder / "survivors.toml"), *options]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    def report(self) -> tuple[int, dict[str, Any]]:
        """Run the tool; return its exit status and its report."""
        done = self.mutate("--json")
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)


def full(checks: Iterable[str]) -> set[str]:
    """Return ids of checks with their module."""
    return {f"madeup.verifier:{check}" for check in checks}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The package with a case for each check, and a list of those that others mask."""
    found = Project(tmp_path)
    found.write(*CHECKS.values())
    found.list_survivors(*full(MASKED))
    return found


def test_each_form_of_check_is_noticed(project: Project) -> None:
    """All of them are found, noticed or listed: the run ends with status 0."""
    status, report = project.report()
    assert {each["id"] for each in report["survivors"]} == full(MASKED)
    assert report["noticed"].keys() == full(CHECKS.keys() - MASKED)
    assert status == 0


@pytest.mark.parametrize("data", RULES)
def test_a_survivor_is_named(project: Project, data: str) -> None:
    """A check that no case refuses ends the run with status 1, and is named with its line."""
    project.write(*(case for case in CHECKS.values() if case != data))
    done = project.mutate()
    [survivor] = [check for check, case in CHECKS.items() if case == data]
    [number] = [at for at, line in enumerate(VERIFIER.split("\n"), 1) if RULES[data] in line]
    assert done.returncode == 1
    assert f"verifier.py:{number}: survivor: madeup.verifier:{survivor}" in done.stdout
    assert done.stdout.count("survivor: ") == 1


def test_a_stale_list(project: Project) -> None:
    """A listed check that is noticed, or that does not exist, ends the run with status 1."""
    project.list_survivors(*full({*MASKED, "verify: found", "verify: gone"}))
    status, report = project.report()
    assert status == 1
    assert set(report["stale"]) == full({"verify: found", "verify: gone"})
    assert project.mutate("--prune").returncode == 1
    assert project.report()[0] == 0


@pytest.mark.parametrize(
    ("reason", "cases", "error"),
    [(" ", ["8"], "has no reason"), ("good", ["12"], "fails with every check on")],
)
def test_no_verdict(project: Project, reason: str, cases: list[str], error: str) -> None:
    """Without a reason in the list, or with tests that fail anyway, there is no verdict."""
    project.write(*cases)
    project.list_survivors("a", reason=reason)
    done = project.mutate("--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert error in done.stderr
