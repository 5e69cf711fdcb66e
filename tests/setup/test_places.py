"""Environments are made anew where something about them has changed, and only there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.setup.checkout import Checkout, installed
from tests.setup.loopback import Index, index
from tools.setup import pythons

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.setup.stages import Stages

LISTED = {"lx-alpha": "1.0", "lx-beta": "1.0"}


@pytest.fixture
def served(stages: Stages) -> Iterator[Index]:
    """Serve the list."""
    with index(stages.wheels) as served:
        yield served


@pytest.fixture
def complete(stages: Stages, served: Index) -> Checkout:
    """Return a checkout whose set-up is complete."""
    checkout = stages.new("uv")
    assert checkout.run("audit", PIP_INDEX_URL=served.address).returncode == 0
    return checkout


def check_made_anew(checkout: Checkout, served: Index) -> None:
    """Run a set-up that must do its step, and try what it made."""
    done = checkout.run("audit", PIP_INDEX_URL=served.address)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(".venv-audit: pip-audit … done")
    assert installed(checkout.root / ".venv-audit") == LISTED
    for name in LISTED:
        command = checkout.root / ".venv-audit" / "bin" / name
        assert subprocess.run([command], capture_output=True, check=True).stdout == b"1.0\n"


def test_second_run(complete: Checkout, served: Index) -> None:
    """A second set-up prints nothing, asks nobody and starts nothing."""
    served.asked.clear()
    shutil.rmtree(complete.root / ".tools" / "uv")
    done = complete.run("audit", PIP_INDEX_URL=served.address)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert served.asked == []


def test_active_environment(complete: Checkout, served: Index) -> None:
    """So does one that an active environment's own Python runs."""
    python = complete.root / ".venv-audit" / "bin" / "python"
    done = subprocess.run(
        [python, "-m", "tools.setup", "audit"],
        cwd=complete.root,
        env=complete.environment(PIP_INDEX_URL=served.address),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_moved_checkout(complete: Checkout, served: Index) -> None:
    """A checkout that was moved has commands that start, again."""
    moved = complete.root.with_name("moved to another place")
    complete.root.rename(moved)
    check_made_anew(Checkout(root=moved, home=complete.home), served)


def _unlink_python(environment: Path) -> None:
    (environment / "bin" / "python").unlink()


def _break_python(environment: Path) -> None:
    for each in (environment / "bin").glob("python*"):
        each.unlink()
        each.symlink_to(environment / "gone" / each.name)


def _empty(environment: Path) -> None:
    shutil.rmtree(environment)
    environment.mkdir()


def _make_by_hand(environment: Path) -> None:
    shutil.rmtree(environment)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)


def _half(environment: Path) -> None:
    """Leave what an installer leaves that is killed while it writes a package."""
    (environment / ".complete").unlink()
    for each in environment.glob("lib/python3*/site-packages/lx_alpha*"):
        if each.is_file():
            each.unlink()


def _cut_stamp(environment: Path) -> None:
    (environment / ".complete").write_bytes(b"")


@pytest.mark.parametrize(
    "damage", [_unlink_python, _break_python, _empty, _make_by_hand, _half, _cut_stamp]
)
def test_damaged(damage: Callable[[Path], None], complete: Checkout, served: Index) -> None:
    """An environment that lost its Python or its stamp is made anew as a whole."""
    damage(complete.root / ".venv-audit")
    check_made_anew(complete, served)


def test_broken_uv(complete: Checkout, served: Index) -> None:
    """A program that was cut off while it was written is replaced."""
    (complete.root / ".venv-audit" / ".complete").unlink()
    uv = complete.root / ".tools" / "uv" / "bin" / "uv"
    uv.unlink()
    uv.write_bytes(b"\x7fELF and no more")
    uv.chmod(0o755)
    check_made_anew(complete, served)


def test_another_list(complete: Checkout, served: Index) -> None:
    """A list that has changed is installed as it is now, without what it held before."""
    path = complete.root / "requirements" / "audit.txt"
    (_, beta) = path.read_text(encoding="utf-8").split("lx-beta")
    path.write_text(f"lx-beta{beta}", encoding="utf-8")
    done = complete.run("audit", PIP_INDEX_URL=served.address)
    assert done.returncode == 0
    assert installed(complete.root / ".venv-audit") == {"lx-beta": "1.0"}


def other_python() -> str | None:
    """Return another supported Python that can make environments."""
    for each in pythons.SUPPORTED:
        path = shutil.which(f"python{pythons.text(each)}")
        if path is None or each == sys.version_info[:2]:
            continue
        program = "import ensurepip, json, sys; json.dump(sys.version_info[:2], sys.stdout)"
        done = subprocess.run([path, "-c", program], capture_output=True, check=False)
        if done.returncode == 0 and json.loads(done.stdout) == [*each]:
            return path
    return None


def test_another_python(complete: Checkout, served: Index) -> None:
    """Another Python gets environments of its own version."""
    python = other_python()
    if python is None:
        pytest.skip("no second Python here")
    done = subprocess.run(
        [python, "-m", "tools.setup", "audit"],
        cwd=complete.root,
        env=complete.environment(PIP_INDEX_URL=served.address),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert installed(complete.root / ".venv-audit") == LISTED
    here = f"python{pythons.text(sys.version_info[:2])}"
    assert not (complete.root / ".venv-audit" / "lib" / here).exists()


def test_into_a_folder_with_files(complete: Checkout, tmp_path: Path) -> None:
    """A folder that is none of an environment is not emptied."""
    (tmp_path / "letter.txt").touch()
    done = complete.run("--into", str(tmp_path), "--lists", "audit")
    assert done.returncode != 0
    assert done.stderr.startswith(f"error: {tmp_path} has files and is not an environment")
    assert [each.name for each in tmp_path.iterdir()] == ["letter.txt"]


def test_unknown_step(stages: Stages) -> None:
    """A step that does not exist is named, with those that do."""
    done = stages.new("start").run("audits")
    assert done.returncode == 2
    assert "unknown: audits; choose from dev, flink, audit, site, pyright, helm" in done.stderr
