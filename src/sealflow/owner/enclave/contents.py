"""Owner: which files lie inside an enclave: found at the place where they will run, and hashed.

Only these exist for it: the interpreter, the standard library, the packages on the template's list
and the shared libraries that they ask the dynamic linker for.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealflow.errors import ConfigError
from sealflow.files import file_errors, file_sha256

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

RUNTIME: Final = "runtime/glibc"
"""Gramine's own C library, below its folder."""
LIBOS: Final = "libsysdb.so"
_LINKER: Final = "/lib64/ld-linux-x86-64.so.2"
_OF_GRAMINE: Final = ("ld-linux-x86-64.so.2", "linux-vdso.so.1")
_UNLOADABLE: Final = re.compile(r".*\.(a|c|cmake|f|f90|h|hpp|o|pc|pxd|pyi|pyx|typed)")
_UNUSED_STDLIB: Final = frozenset(
    {
        "config-*",
        "curses",
        "dbm",
        "dist-packages",
        "distutils",
        "ensurepip",
        "idlelib",
        "lib2to3",
        "pydoc_data",
        "site-packages",
        "sqlite3",
        "test",
        "tkinter",
        "turtle.py",
        "turtledemo",
        "venv",
    }
)
_UNUSED_NATIVE: Final = ("_curses*", "_dbm*", "_gdbm*", "_sqlite3*", "_test*", "_tkinter*", "nis*")
_ASK: Final = """\
import json, sys, sysconfig
print(json.dumps({
    "python": sys.executable,
    "base": sys._base_executable,
    "stdlib": sysconfig.get_path("stdlib"),
    "packages": sysconfig.get_path("platlib"),
    "prefix": sys.prefix,
}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonInstall:
    """Where a Python environment has its parts."""

    base: Path
    stdlib: Path
    packages: Path
    prefix: Path

    @classmethod
    def inspect(cls, enclaves: Path) -> PythonInstall:
        """Ask the interpreter of an environment.

        Raises: ConfigError when there is none.
        """
        python = enclaves / "bin" / "python"
        try:
            done = subprocess.run(  # noqa: S603 - the interpreter that is to be measured
                [python, "-I", "-c", _ASK], capture_output=True, check=True
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise ConfigError(f"{python} does not run: {error}") from error
        told = json.loads(done.stdout)
        return cls(
            base=Path(told["base"]).resolve(),
            stdlib=Path(told["stdlib"]),
            packages=Path(told["packages"]),
            prefix=Path(told["prefix"]),
        )


def enclave_files(
    python: PythonInstall,
    gramine: Path,
    *,
    packages: Iterable[str],
    exclude: Iterable[str],
    native: Iterable[str],
) -> dict[Path, str]:
    """Find every file that the enclave may open, with its SHA-256 in hex, in order of their names.

    `gramine`: the folder where Gramine is installed. `packages`, `exclude`, `native`: see
    `Template`.

    Raises: ConfigError when a part is missing or a shared library cannot be found.
    """
    interpreter = python.prefix / "bin" / "python"
    files = {interpreter, python.prefix / "pyvenv.cfg", python.base}
    files.update(_standard_library(python.stdlib))
    files.update(_packages(python.packages, packages, tuple(exclude)))
    runtime = set(_walk(gramine / RUNTIME))
    if not runtime:
        raise ConfigError(f"{gramine / RUNTIME} is missing: install Gramine, or name its folder")
    given = {path.name for path in runtime} | {*_OF_GRAMINE}
    files.update(runtime)
    programs = [python.base, *(path for path in files if ".so" in path.suffixes)]
    files.update(_native(programs, native, given))
    return {path: _sha256(path) for path in sorted(files)}


def _standard_library(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if any(fnmatch(entry.name, pattern) for pattern in _UNUSED_STDLIB):
            continue
        for path in _walk(entry):
            native = path.parent.name == "lib-dynload"
            if not (native and any(fnmatch(path.name, each) for each in _UNUSED_NATIVE)):
                yield path


def _packages(folder: Path, packages: Iterable[str], exclude: tuple[str, ...]) -> Iterator[Path]:
    for pattern in packages:
        found = list(folder.glob(pattern))
        if not found:
            raise ConfigError(f"{folder} has no {pattern}: install requirements/trusted.txt there")
        for entry in found:
            for path in _walk(entry):
                name = path.relative_to(folder).as_posix()
                if not any(fnmatch(name, f"{each}*") for each in exclude):
                    yield path


def _walk(entry: Path) -> Iterator[Path]:
    if entry.is_file():
        if not _UNLOADABLE.fullmatch(entry.name):
            yield entry
        return
    if entry.is_dir() and entry.name != "tests":
        for each in entry.iterdir():
            yield from _walk(each)


def _native(programs: Iterable[Path], names: Iterable[str], given: set[str]) -> Iterator[Path]:
    """Ask the system's dynamic linker what these programs load from the system.

    What lies beside a program is on the list already; what Gramine brings is not the system's.
    """
    programs = list(programs)
    near = {path.resolve() for path in programs}
    folders = set()
    for program in programs:
        done = subprocess.run(  # noqa: S603 - lists, runs nothing
            [_LINKER, "--list", program], capture_output=True, text=True, check=False
        )
        for line in done.stdout.splitlines():
            name, _, rest = line.strip().partition(" => ")
            if rest.startswith("not found"):
                raise ConfigError(f"{program} needs {name}, which is not installed")
            found = Path(rest.partition(" (")[0])
            if not rest or Path(name).name in given or found.resolve() in near:
                continue
            folders.add(found.parent.resolve())
            yield found.parent.resolve() / found.name
    for name in names:
        for folder in folders:
            if (folder / name).is_file():
                yield folder / name


def _sha256(path: Path) -> str:
    with file_errors(f"{path}"):
        return file_sha256(path)
