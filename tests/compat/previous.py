"""Yesterday's release: the kept wheel, and environments with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.support.hosts.python_environments import ROOT, Environment, Uv
from tools.setup import installer, pythons

if TYPE_CHECKING:
    from pathlib import Path

FOLDER: Final = ROOT / "tests" / "data" / "previous"


def kept_wheel() -> Path:
    """Return the path of the kept wheel."""
    (found,) = FOLDER.glob("*.whl")
    return found


def install_previous(folder: Path, *lists: str) -> Environment:
    """Make an environment of the wheel and its release's lists, as the set-up makes others."""
    installer.make_environment(folder, pythons.THIS)
    installer.install(folder, [str(FOLDER / each) for each in lists])
    program = str(installer.python_of(folder))
    alone = ("--no-deps", "--offline", "--no-cache")
    done = Uv()("pip", "install", "--python", program, *alone, str(kept_wheel()))
    assert done.returncode == 0, done.stderr
    return Environment(folder=folder)
