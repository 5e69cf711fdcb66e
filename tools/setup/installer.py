"""Install hash-pinned lists into Python environments with uv, which is itself pinned by hash.

uv's own wheel is installed with the pip that comes with Python. It is one file without
dependencies, so that all releases of pip install it alike.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tools.setup import authorities, failures, package_index, progress, pythons

ROOT = Path(__file__).resolve().parents[2]
LISTS = ROOT / "requirements"
TOOLS = ROOT / ".tools"
UV_ENVIRONMENT = TOOLS / "uv"
"""The environment of uv, apart from those that it makes: they can be made again offline."""

_MIB = 1 << 20


class InstallError(Exception):
    """An installation failed; the message says why, and what to do."""


def python_of(environment: Path) -> Path:
    """Return the interpreter of an environment."""
    return environment / "bin" / "python"


@functools.cache
def access() -> package_index.Access:
    """Return this user's settings for reaching a package index.

    Raises: InstallError when pip cannot be installed, or a setting names a file without
    certificates.
    """
    _ensure_pip()
    try:
        return package_index.read_access(python_of(UV_ENVIRONMENT), TOOLS)
    except authorities.MissingCertificatesError as error:
        raise InstallError(str(error)) from error


@functools.cache
def ensure_uv() -> Path:
    """Return the path of uv's pinned release; install it first if it is missing.

    Raises: InstallError when it cannot be installed or does not start.
    """
    uv = UV_ENVIRONMENT / "bin" / "uv"
    _ensure_pip()
    if _pinned_uv() not in _printed(uv, "--version"):
        # Files that an interrupted run left are overwritten.
        _pip(
            "install",
            "--ignore-installed",
            "--require-hashes",
            "--requirement",
            str(LISTS / "uv.txt"),
        )
    if _pinned_uv() not in _printed(uv, "--version"):
        raise InstallError(
            f"{uv} was installed and does not start: check that programs may run in that folder "
            "(mount option noexec), and that this is Linux with glibc on x86-64 or ARM64"
        )
    return uv


def download(folder: Path, groups: list[list[Path]]) -> None:
    """Download the releases of lists for this Python into a folder, which is emptied first.

    Args:
        folder: The target folder.
        groups: Groups of lists. No group may contain two releases of one package.

    Raises: InstallError when a release cannot be downloaded.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for group in groups:
        lists = [part for each in group for part in ("--requirement", str(each))]
        _pip("download", "--require-hashes", "--dest", str(folder), *lists)


def make_environment(folder: Path, python: str) -> None:
    """Make an empty environment without pip; delete the folder's content first.

    Args:
        folder: The environment.
        python: The path of an interpreter.

    Raises: InstallError when the folder cannot be written.
    """
    command = [python, "-I", "-m", "venv", "--clear", "--without-pip", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - venv
    if done.returncode:
        raise _failure(done.stdout + done.stderr, folder)


def install(folder: Path, lists: list[str], *, needed_mib: int = 0, copies: bool = False) -> None:
    """Install lists into an environment.

    Releases in uv's cache are installed without the package index, so that an interrupted run
    continues where it stopped.

    Args:
        folder: The environment.
        lists: Names in `requirements/`, without `.txt`.
        needed_mib: Disk space in MiB that the packages take.
        copies: Whether to copy files from uv's cache instead of linking to them.

    Raises: InstallError when the disk is too small or a release cannot be installed.
    """
    # A list contains all dependencies of its packages; a test checks that. So uv need not resolve
    # any, and considers no release that is not in the list.
    options = ["--no-deps", "--require-hashes", "--require-build-hashes"]
    options += ["--build-constraints", str(LISTS / "build.txt")]
    options += ["--link-mode", "copy"] if copies else []
    for each in lists:
        options += ["--requirement", str(LISTS / f"{each}.txt")]
    code, _ = _uv(folder, *options, "--offline")
    if code:
        _check_space(folder, needed_mib)
        code, printed = _uv(folder, *options, *access().uv_options)
        if code:
            raise _failure(printed, folder, access().uv_index, access().proxy)


def install_project(folder: Path) -> None:
    """Install Sealflow as a link to the checkout, with the build tools of the environment.

    Raises: InstallError when the build fails.
    """
    options = ("--no-deps", "--no-build-isolation", "--offline", "--editable", str(ROOT))
    code, printed = _uv(folder, *options)
    if code:
        raise _failure(printed, folder, access().uv_index, access().proxy)


def _uv(folder: Path, *options: str) -> tuple[int, str]:
    """Run `uv pip install`; return its exit status and output."""
    command = [str(ensure_uv()), "pip", "install", "--python", str(python_of(folder))]
    return progress.run([*command, *options], access().uv)


def _pip(action: str, *options: str) -> None:
    """Run the pip in uv's environment.

    `-vv`, because only then does it print why an index did not answer.

    Raises: InstallError when pip fails.
    """
    command = [str(python_of(UV_ENVIRONMENT)), "-I", "-m", "pip", action, "--no-deps", "-vv"]
    code, printed = progress.run([*command, *options], access().pip)
    if code:
        raise _failure(printed, UV_ENVIRONMENT, access().pip_index, access().proxy)


@functools.cache
def _ensure_pip() -> None:
    """Make uv's environment, with the pip that comes with this Python, if it is missing."""
    version = pythons.text(sys.version_info[:2])
    there = (UV_ENVIRONMENT / "lib" / f"python{version}" / "site-packages" / "pip").is_dir()
    if there and f"Python {version}." in _printed(python_of(UV_ENVIRONMENT), "--version"):
        return
    # Renamed when complete, as the installation of pip may be interrupted too.
    part = UV_ENVIRONMENT.with_suffix(".part")
    _make_with_pip(part)
    shutil.rmtree(UV_ENVIRONMENT, ignore_errors=True)
    part.rename(UV_ENVIRONMENT)


def _make_with_pip(environment: Path) -> None:
    if importlib.util.find_spec("ensurepip") is None:
        _install_ensurepip()
    make_environment(environment, pythons.THIS)
    command = [str(python_of(environment)), "-I", "-m", "ensurepip"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - pip
    if done.returncode:
        raise _failure(done.stdout + done.stderr, environment)


def _install_ensurepip() -> None:
    """Install Debian's package of `ensurepip` if this user is root.

    Raises: InstallError, with the command to install it, when `ensurepip` is still missing.
    """
    package = f"python{pythons.text(sys.version_info[:2])}-venv"
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"installing {package} with apt-get", flush=True)
        for step in (["update", "-qq"], ["install", "-y", "-qq", package]):
            subprocess.run(["apt-get", *step], capture_output=True, check=False)  # noqa: S603, S607
        importlib.invalidate_caches()
    if importlib.util.find_spec("ensurepip") is None:
        raise InstallError(
            f"{pythons.THIS} cannot make a virtual environment with pip; on Debian and Ubuntu: "
            f"sudo apt-get install {package}"
        )


def _check_space(folder: Path, needed_mib: int) -> None:
    free_mib = shutil.disk_usage(folder).free // _MIB
    if free_mib < needed_mib:
        raise InstallError(
            f"{folder} needs {needed_mib} MiB and its disk has {free_mib} MiB free: free some "
            "space, or use a checkout on a larger disk"
        )


def _failure(
    printed: str, folder: Path, index: str = package_index.PUBLIC, proxy: str = ""
) -> InstallError:
    return InstallError(failures.sentence(printed, index=index, folder=str(folder), proxy=proxy))


def _pinned_uv() -> str:
    text = (LISTS / "uv.txt").read_text(encoding="utf-8")
    (version,) = re.findall(r"^uv==(\S+)", text, re.MULTILINE)
    return f"uv {version} "


def _printed(program: Path, *arguments: str) -> str:
    """Return a program's output, stripped and with a space at its end; empty if it fails."""
    try:
        done = subprocess.run(  # noqa: S603 - a program of an environment of ours
            [program, *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip() + " " if done.returncode == 0 else ""
