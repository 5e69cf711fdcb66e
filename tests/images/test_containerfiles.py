"""Rules of the Containerfiles, as far as a reader can see them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sealflow import __version__
from tests.support.enclaves.enclave_folders import core

ROOT = Path(__file__).resolve().parents[2]
FILES = {path.name: path.read_text() for path in (ROOT / "deploy" / "images").iterdir()}
CORE = {
    "__init__.py",
    "backoff.py",
    "attest",
    "documents",
    "errors.py",
    "evidence_hints.py",
    "openinfer",
    "package",
    "seal",
    "trusted",
    "wire",
}
INSTALL = re.compile(
    r"python3 -m tools\.setup --into /opt/[a-z/]+ --lists (?P<lists>[a-z ]+?) *(&&|$)"
)
SNAPSHOT = "http://snapshot.debian.org/archive/"
STAGE = re.compile(r"^FROM (\S+)(?: AS (\S+))?$", re.MULTILINE)


def instructions(text: str) -> list[str]:
    """Give the instructions, each on one line, without comments."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return [each for each in "\n".join(lines).replace("\\\n", " ").splitlines() if each.strip()]


@pytest.mark.parametrize("name", FILES)
def test_last_stage(name: str) -> None:
    """The last stage starts anew, takes results from the others, and runs as nobody."""
    stages = FILES[name].rpartition("\nFROM ")
    last = instructions("FROM " + stages[2])
    assert not any(each.startswith(("RUN", "ADD")) for each in last), last
    assert any(each.startswith("COPY --from=") for each in last)
    users = [each.removeprefix("USER ") for each in last if each.startswith("USER")]
    assert users == ["10001:10001"]
    assert any(each.startswith("CMD [") for each in last)


@pytest.mark.parametrize("name", FILES)
def test_stages_come_from_arguments(name: str) -> None:
    """Every image from outside is an argument, which a release gives by digest."""
    known: set[str] = set()
    for source, alias in STAGE.findall(FILES[name]):
        assert source in known or re.fullmatch(r"\$\{[A-Z]+\}", source), source
        known.add(alias)


def test_base_is_pinned() -> None:
    """What a build stands on is named by its digest, in one place alone."""
    named = [line for text in FILES.values() for line in text.splitlines() if "docker.io" in line]
    (base,) = named
    assert re.fullmatch(r"ARG BASE=docker\.io/library/debian@sha256:[0-9a-f]{64}", base)


@pytest.mark.parametrize("name", FILES)
def test_packages_are_pinned(name: str) -> None:
    """Python packages come from lists with hashes, by the project's installer, and nothing else."""
    steps = instructions(FILES[name])
    copied = {source for each in steps if each.startswith("COPY") for source in each.split()[1:-1]}
    installed = [INSTALL.search(each) for each in steps if "tools.setup " in each]
    assert len(installed) == 1
    for found in installed:
        assert found is not None
        lists = {f"requirements/{each}.txt" for each in ("build", "uv", *found["lists"].split())}
        assert lists == {each for each in copied if each.startswith("requirements/")}
    for each in steps:
        assert not each.startswith("ADD")
        assert not re.search(r"\b(curl|wget|git clone|pip3?|easy_install)\b", each), each
    assert "index-url" not in FILES[name]


def test_snapshot_has_security_fixes() -> None:
    """A build at a time in the past takes what a build of that day took, security fixes too."""
    (step,) = [each for each in instructions(FILES["enclaves.Containerfile"]) if SNAPSHOT in each]
    assert re.findall(rf'"{SNAPSHOT}(\S+) (\S+)"', step) == [
        ("debian/$SNAPSHOT", "bookworm"),
        ("debian/$SNAPSHOT", "bookworm-updates"),
        ("debian-security/$SNAPSHOT", "bookworm-security"),
    ]


@pytest.mark.parametrize("name", FILES)
def test_no_secret_in_a_layer(name: str) -> None:
    """A key is mounted for one step, and neither copied nor passed as an argument."""
    for each in instructions(FILES[name]):
        if "enclave-key" in each:
            assert each.startswith("RUN --mount=type=secret,id=enclave-key"), each
        assert not re.match(r"(ARG|ENV) .*(KEY|SECRET|PASSWORD|TOKEN)", each)


def test_enclaves_copy_the_core_alone() -> None:
    """Of our code, the enclaves' image copies what may be inside the enclave, by name."""
    assert core() == CORE


def test_command_as_a_module() -> None:
    """What images and Jobs call, `python -m sealflow.cli.main`, is the command line."""
    done = subprocess.run(
        [sys.executable, "-m", "sealflow.cli.main", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip().endswith(__version__)


def test_context_is_an_allow_list() -> None:
    """Nothing of a checkout reaches a build but what the Containerfiles copy."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    # Tools leave hidden folders in `src`, which is measured.
    assert lines[-2:] == ["**/__pycache__", "**/.*"]
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {
        source
        for text in FILES.values()
        for each in instructions(text)
        if each.startswith("COPY") and "--from=" not in each
        for source in each.split()[1:-1]
    }
    for source in copied:
        assert any(Path(source).is_relative_to(each) for each in allowed), source
    for each in allowed:
        assert any(Path(source).is_relative_to(each) for source in copied), each
