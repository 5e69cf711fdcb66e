"""A place for enclaves as images hold them, and Gramine as it is installed on this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.cluster.local_cluster import sealflow
from tests.support.enclaves.enclave_folders import ROOT, TEMPLATES, core
from tools.setup import standalone

ROLES = ("worker", "keybroker")
PROGRAMS = (
    "gramine-direct",
    "gramine-manifest-check",
    "gramine-sgx-sign",
    "gramine-sgx-sigstruct-view",
)
_NOT_COPIED = ("__pycache__", "config-*", "dist-packages", "lib2to3", "site-packages", "test")


def missing_programs() -> str | None:
    """Say what of Gramine is not here and where to get it; None when all is."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if not missing:
        return None
    return (
        f"no Gramine here ({missing[0]} is not on PATH), and these tests run nothing else. Debian "
        "and PyPI have none: install its packages as "
        "https://gramine.readthedocs.io/en/stable/installation.html says, or run this in a "
        "container of an image that has them (docs/guide/sgx.md, section 6)"
    )


def program(name: str) -> Path:
    """Find one of Gramine's programs."""
    found = shutil.which(name)
    assert found is not None
    return Path(found).resolve()


def gramine_folder() -> Path:
    """Find Gramine's LibOS, which lies beside its programs whoever built it."""
    return program("gramine-direct").parents[1] / "lib" / "x86_64-linux-gnu" / "gramine"


def run(*command: str | Path, **environment: str) -> str:
    """Run a program; gives what it prints.

    Raises: AssertionError with its last words.
    """
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {(done.stdout + done.stderr)[-3000:]}"
    return done.stdout


@dataclass(frozen=True, slots=True)
class EnclaveFolder:
    """A folder with an interpreter of its own and an environment of enclaves, at fixed paths.

    Nothing in it is shared with whatever runs the tests, so that each byte of it can be changed.
    """

    folder: Path

    @property
    def enclaves(self) -> Path:
        """The environment of worker and key broker."""
        return self.folder / "enclaves"

    @property
    def python(self) -> Path:
        """The interpreter and its standard library."""
        return self.folder / "python"

    @property
    def stdlib(self) -> Path:
        """The standard library."""
        return next((self.python / "lib").glob("python3*"))

    @property
    def packages(self) -> Path:
        """Where the environment's packages lie."""
        return next((self.enclaves / "lib").glob("python3*/site-packages"))

    def install(self) -> None:
        """Make all of it anew from this checkout, the way of enclaves.Containerfile."""
        for old in (self.enclaves, self.python):
            shutil.rmtree(old, ignore_errors=True)
        base = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
        library = Path(sysconfig.get_path("stdlib"))
        interpreter = self.python / "bin" / base.name
        interpreter.parent.mkdir(parents=True)
        shutil.copy2(base, interpreter)
        unused = shutil.ignore_patterns(*_NOT_COPIED)
        shutil.copytree(library, self.python / "lib" / library.name, ignore=unused)
        standalone.make(self.enclaves, ["trusted"], str(interpreter))
        ours = self.packages / "sealflow"
        ours.mkdir()
        for name in core():
            source = ROOT / "src" / "sealflow" / name
            copy = shutil.copytree if source.is_dir() else shutil.copyfile
            copy(source, ours / name)
        for folder in [*self.enclaves.rglob("tests"), *self.enclaves.rglob("__pycache__")]:
            shutil.rmtree(folder, ignore_errors=True)
        self.compile()

    def compile(self) -> None:
        """Compile what has no bytecode yet, in the one form that Gramine can use."""
        flags = ("-q", "--invalidation-mode", "unchecked-hash")
        folders = (self.stdlib, self.packages)
        python = self.enclaves / "bin" / "python"
        run(python, "-I", "-m", "compileall", *flags, *folders, PYTHONHASHSEED="0")

    def build(self, *options: str, templates: Path = TEMPLATES) -> None:
        """Render both manifests with the command."""
        flags = (f"--enclaves={self.enclaves}", f"--templates={templates}")
        run(*sealflow("enclave", "build", *flags, f"--gramine={gramine_folder()}", *options))

    def sign(self, key: Path) -> dict[str, dict[str, Any]]:
        """Sign them with the command; gives what they measure as, by role."""
        flags = (f"--enclaves={self.enclaves}", f"--key={key}", "--json")
        told: dict[str, dict[str, Any]] = json.loads(run(*sealflow("enclave", "sign", *flags)))
        return told

    def keep(self, name: str) -> Path:
        """Move what was built into a folder of its own, where it can be started as well."""
        kept = self.folder / name
        kept.mkdir()
        for path in self.enclaves.glob("*.*"):
            if path.name.partition(".")[0] in ROLES:
                path.rename(kept / path.name)
        return kept


def simulating_templates(folder: Path) -> Path:
    """Write the templates anew with the simulated TEE left in, for tests alone."""
    folder.mkdir()
    for role in ROLES:
        lines = (TEMPLATES / f"{role}.manifest.toml").read_text().splitlines(keepends=True)
        others = [line for line in lines if "simulated" not in line]
        assert len(lines) - len(others) == 2
        (folder / f"{role}.manifest.toml").write_text("".join(others))
    return folder
