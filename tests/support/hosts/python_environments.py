"""Python environments outside the checkout, with an extra of the built wheel in each."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.setup import installer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    MakeEnvironment = Callable[..., "Environment"]

ROOT = Path(__file__).parents[3]
BUILD = ROOT / "requirements" / "build.txt"
STOP_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Uv:
    """The installer, which hardlinks from its cache what it has there."""

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it, outside of any environment."""
        command = (str(installer.ensure_uv()), "--quiet", *arguments)
        return subprocess.run(
            command, env=installer.access().uv, capture_output=True, text=True, check=False
        )

    def make(self, folder: Path, python: str, what: str, pins: Sequence[str]) -> Environment:
        """Make an environment with one requirement in it, from the cache or else from the index."""
        made = self("venv", "--no-python-downloads", "--python", python, str(folder))
        assert made.returncode == 0, made.stderr
        constraints = folder / "constraints.txt"
        constraints.write_text("".join(f"{pin}\n" for pin in pins))
        program = str(folder / "bin" / "python")
        limits = ("--constraint", str(constraints), "--build-constraint", str(BUILD))
        install = ("pip", "install", "--python", program, *limits, what)
        if self(*install, "--offline").returncode != 0:
            done = self(*install)
            assert done.returncode == 0, f"neither cache nor index has all of {what}: {done.stderr}"
        return Environment(folder=folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """One environment; its programs see nothing of the checkout or of this process's variables."""

    folder: Path

    @property
    def sealflow(self) -> str:
        """The installed command."""
        return str(self.folder / "bin" / "sealflow")

    def run(self, *arguments: str, cwd: Path) -> CommandResult:
        """Run `sealflow` in a folder."""
        return self._run((self.sealflow, *arguments), cwd)

    def python(self, *arguments: str, cwd: Path) -> CommandResult:
        """Run this environment's Python, isolated."""
        return self._run((str(self.folder / "bin" / "python"), "-I", *arguments), cwd)

    @contextmanager
    def up(self, cwd: Path, *arguments: str) -> Iterator[dict[str, Any]]:
        """Run `sealflow up` in a folder and yield what it prints when it is ready."""
        command = (self.sealflow, "up", "--port", "0", "--workers", "1", "--json", *arguments)
        with (cwd / "up.err").open("wb") as errors, subprocess.Popen(
            command, cwd=cwd, env=_variables(cwd), stdout=subprocess.PIPE, stderr=errors
        ) as process:  # fmt: skip
            assert process.stdout is not None
            try:
                line = process.stdout.readline()
                assert line, (cwd / "up.err").read_text()
                yield json.loads(line)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(STOP_S)

    @staticmethod
    def _run(command: tuple[str, ...], cwd: Path) -> CommandResult:
        done = subprocess.run(
            command, cwd=cwd, env=_variables(cwd), capture_output=True, text=True, check=False
        )
        return CommandResult(code=done.returncode, out=done.stdout, err=done.stderr)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """How a program ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return the JSON objects that a command printed, one of a line, as a list."""
        assert self.code == 0, self.err
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def refusal(self) -> str:
        """Return the sentence that a command refused with, without the hint after it."""
        assert self.code == 2, (self.code, self.out, self.err)
        error, hint = self.err.splitlines()
        assert error.startswith("error: "), self.err
        assert hint.startswith("hint: "), self.err
        return error.removeprefix("error: ")


def read_pins(name: str) -> list[str]:
    """Return the versions that a list of `requirements` names, without extras and hashes."""
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    named = [line.partition(" \\")[0].partition("==") for line in lines if line[:1].isalnum()]
    return [f"{name.partition('[')[0]}=={version}" for name, _, version in named]


def find_python(version: str) -> str | None:
    """Return the path of a Python of this machine, also of pyenv's, or None when none runs."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    name = f"python{version}"
    for program in (shutil.which(name), *pyenv.glob(f"{version}.*/bin/{name}")):
        asked = (str(program), "-c", "import sys; print(sys.executable)")
        if program is not None:
            done = subprocess.run(asked, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return done.stdout.strip()
    return None


def _variables(cwd: Path) -> dict[str, str]:
    return {"HOME": str(cwd), "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"}


def build_distributions(source: Path, folder: Path, *targets: str) -> None:
    """Build targets of a source folder, as every builder of packages does, without isolation."""
    for target in targets:
        command = (sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder))
        done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
