"""Install hash-pinned lists into Python environments with uv, which is itself pinned by hash.

Only the first step, uv's own wheel, is done by the pip that a new environment comes with. It needs
nothing of pip that differs between releases: one file without dependencies.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tools.setup import failures, package_index, progress

ROOT = Path(__file__).resolve().parents[2]
LISTS = ROOT / "requirements"
UV_ENVIRONMENT = ROOT / ".venv"

_PUBLIC = "the public package index"
_MIB = 1 << 20


class InstallError(Exception):
    """An installation failed; the text says why, and what to do."""


def python_of(environment: Path) -> Path:
    """Return the interpreter of an environment."""
    return environment / "bin" / "python"


def ensure_uv() -> Path:
    """Return uv in the project's environment; make that environment, and install uv, if needed.

    Raises: InstallError.
    """
    uv = UV_ENVIRONMENT / "bin" / "uv"
    if not _has_pip(UV_ENVIRONMENT):
        _make_with_pip(UV_ENVIRONMENT)
    if _pinned_uv() not in _printed(uv, "--version"):
        options = ("--quiet", "--require-hashes", "--no-deps", "--requirement", LISTS / "uv.txt")
        command = [python_of(UV_ENVIRONMENT), "-m", "pip", "install", *options]
        environment = package_index.pip_environment()
        code, printed = progress.run([str(each) for each in command], environment)
        if code:
            raise _failure(printed, UV_ENVIRONMENT, environment)
    return uv


def make_environment(folder: Path, python: str) -> None:
    """Make an empty environment without pip, unless one of the same Python is there.

    Raises: InstallError.
    """
    if _printed(python_of(folder), "--version") == _printed(Path(python), "--version"):
        return
    options = ("--clear", "--without-pip", folder)
    done = subprocess.run(  # noqa: S603 - a Python of this machine
        [python, "-m", "venv", *options], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise _failure(done.stdout + done.stderr, folder, os.environ)


def install(
    folder: Path,
    lists: list[str],
    *,
    needed_mib: int = 0,
    exact: bool = True,
    copies: bool = False,
) -> None:
    """Install lists into an environment, and nothing else.

    What uv's cache holds is taken from there without asking an index. A run that was interrupted is
    continued: what is installed already stays.

    Args:
        folder: The environment.
        lists: Names in `requirements/`, without `.txt`.
        needed_mib: Disk space that the packages take in MiB.
        exact: Whether to remove what the lists do not hold.
        copies: Whether to copy files out of uv's cache instead of linking to them.

    Raises: InstallError.
    """
    uv = ensure_uv()
    _check_space(folder, needed_mib)
    # A list names every package that its packages need, which a test holds. So nothing is resolved,
    # and no release that is not in the list can be looked at.
    action = ("sync",) if exact else ("install", "--no-deps")
    command = [str(uv), "pip", *action, "--python", str(python_of(folder)), "--require-hashes"]
    command += ["--build-constraints", str(LISTS / "build.txt"), "--require-build-hashes"]
    files = [str(LISTS / f"{each}.txt") for each in lists]
    command += files if exact else [part for each in files for part in ("--requirement", each)]
    environment = package_index.uv_environment(python_of(UV_ENVIRONMENT))
    environment |= {"UV_LINK_MODE": "copy"} if copies else {}
    offline = subprocess.run(  # noqa: S603 - uv, with our arguments
        [*command, "--offline"], env=environment, capture_output=True, text=True, check=False
    )
    if offline.returncode == 0:
        return
    code, printed = progress.run(command, environment)
    if code:
        raise _failure(printed, folder, environment)


def install_project(folder: Path) -> None:
    """Install Sealflow itself, linked to the checkout, with the build tools of the environment.

    Raises: InstallError.
    """
    options = ("--no-deps", "--no-build-isolation", "--offline", "--editable", str(ROOT))
    command = [str(ensure_uv()), "pip", "install", "--python", str(python_of(folder)), *options]
    code, printed = progress.run([*command, "--quiet"], os.environ)
    if code:
        raise _failure(printed, folder, os.environ)


def _has_pip(environment: Path) -> bool:
    """Say whether an environment is whole and of this Python."""
    version = f"(python {sys.version_info[0]}.{sys.version_info[1]})"
    return version in _printed(python_of(environment), "-m", "pip", "--version")


def _make_with_pip(environment: Path) -> None:
    command = [sys.executable, "-m", "venv", "--clear", str(environment)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - venv
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    if done.returncode and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"installing {package} with apt-get", flush=True)
        for step in (["update", "-qq"], ["install", "-y", "-qq", package]):
            subprocess.run(["apt-get", *step], capture_output=True, check=False)  # noqa: S603, S607
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    printed = done.stdout + done.stderr
    if "ensurepip" in printed:
        raise InstallError(
            f"{sys.executable} cannot make a virtual environment; on Debian and Ubuntu: sudo "
            f"apt-get install {package}"
        )
    if done.returncode:
        raise _failure(printed, environment, os.environ)


def _check_space(folder: Path, needed_mib: int) -> None:
    there = next(each for each in (folder, *folder.parents) if each.exists())
    installed = (folder / ".complete").exists()
    free_mib = shutil.disk_usage(there).free // _MIB
    if free_mib < needed_mib and not installed:
        raise InstallError(
            f"{folder} needs {needed_mib} MiB and its disk has {free_mib} MiB free: free some "
            "space, or use a checkout on a larger disk"
        )


def _failure(
    printed: str, folder: Path, environment: os._Environ[str] | dict[str, str]
) -> InstallError:
    names = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
    index = next((environment[each] for each in names if environment.get(each)), _PUBLIC)
    return InstallError(failures.sentence(printed, index=index, folder=str(folder)))


def _pinned_uv() -> str:
    text = (LISTS / "uv.txt").read_text(encoding="utf-8")
    (version,) = re.findall(r"^uv==(\S+)", text, re.MULTILINE)
    return f"uv {version} "


def _printed(program: Path, *arguments: str) -> str:
    """Return what a program prints, or nothing if it does not start or fails."""
    try:
        done = subprocess.run(  # noqa: S603 - a program of an environment of ours
            [program, *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip() + " " if done.returncode == 0 else ""
