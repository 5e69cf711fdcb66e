"""Copies of the parts of this checkout that its set-up needs, and the set-up run in them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).resolve().parents[2]
WHEELS: Final = ROOT / ".tools" / "wheels"
NEWEST_OF_OLD_PIPS: Final = (3, 11)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A copy, and a home and a cache of its own."""

    root: Path
    home: Path

    @classmethod
    def copy(cls, folder: Path, *, lists: dict[str, str] | None = None) -> Checkout:
        """Copy what the set-up needs; replace some lists."""
        root = folder / "checkout"
        shutil.copytree(ROOT / "tools" / "setup", root / "tools" / "setup", ignore=_COMPILED)
        (root / "requirements").mkdir()
        for each in (ROOT / "requirements").glob("*.txt"):
            shutil.copyfile(each, root / "requirements" / each.name)
        for name, text in (lists or {}).items():
            (root / "requirements" / f"{name}.txt").write_text(text, encoding="utf-8")
        (folder / "home").mkdir()
        return cls(root=root, home=folder / "home")

    def environment(self, **variables: str) -> dict[str, str]:
        """Return an environment without any setting of this machine's pip or uv."""
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.home),
            "UV_CACHE_DIR": str(self.home / "uv"),
            "UV_NO_CONFIG": "1",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_CACHE_DIR": str(self.home / "pip"),
            **variables,
        }

    def start(self, *names: str, **variables: str) -> subprocess.Popen[str]:
        """Start the set-up in a process group of its own."""
        return subprocess.Popen(
            self.command(*names),
            cwd=self.root,
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *names: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the set-up to its end."""
        return subprocess.run(
            self.command(*names),
            cwd=self.root,
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    @staticmethod
    def command(*names: str) -> Sequence[str]:
        """Return the command that users and the Makefile run."""
        return (sys.executable, "-m", "tools.setup", *names)


def make_with_pip(environment: Path, version: str = "") -> Path:
    """Make an environment with a release of pip, the listed one unless it is named.

    The test is skipped if this Python cannot run that release.
    """
    (listed,) = re.findall(
        r"^pip==(\S+)", (ROOT / "requirements" / "audit.txt").read_text(), re.MULTILINE
    )
    (wheel,) = WHEELS.glob(f"pip-{version or listed}-*.whl")
    command = [sys.executable, "-I", "-m", "venv", "--without-pip", str(environment)]
    subprocess.run(command, check=True)
    python = environment / "bin" / "python"
    options = ("install", "--quiet", "--no-index", "--no-compile", wheel)
    done = subprocess.run([python, wheel / "pip", *options], capture_output=True, check=False)
    if done.returncode and version and sys.version_info[:2] > NEWEST_OF_OLD_PIPS:
        pytest.skip(f"pip {version} does not run on Python 3.{sys.version_info[1]}")
    assert done.returncode == 0, done.stderr
    assert installed(environment) == {"pip": version or listed}
    return python


def installed(environment: Path) -> dict[str, str]:
    """Return the versions of what an environment holds, by package."""
    folders = environment.glob("lib/python3*/site-packages/*.dist-info")
    pairs = [each.name.removesuffix(".dist-info").split("-") for each in folders]
    return {name.replace("_", "-").lower(): version for name, version in pairs}


_COMPILED = shutil.ignore_patterns("__pycache__")
