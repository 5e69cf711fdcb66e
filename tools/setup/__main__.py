"""Make environments: `python -m tools.setup NAME…`, or `--into FOLDER --lists LIST…` for images."""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tools.setup import flink_code, helm, pythons, standalone
from tools.setup.installer import (
    LISTS,
    ROOT,
    UV_ENVIRONMENT,
    InstallError,
    ensure_uv,
    install,
    install_project,
    make_environment,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

AUDIT = ROOT / ".venv-audit"
FLINK = ROOT / ".venv-flink"
HELM = ROOT / ".tools"


def main() -> None:
    """Make what was asked for; one line a step, one sentence for an error."""
    pythons.check_supported(sys.version_info[:2])
    parser = argparse.ArgumentParser(prog="python -m tools.setup", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*_STEPS, []], metavar="NAME")
    parser.add_argument("--into", type=Path, metavar="FOLDER", help="an environment of its own")
    parser.add_argument("--lists", nargs="+", default=[], metavar="LIST", help="what goes into it")
    options = parser.parse_args()
    try:
        with _alone():
            for name in options.names:
                _STEPS[name]()
            if options.into:
                standalone.make(options.into, options.lists)
    except InstallError as error:
        sys.exit(f"error: {error}")
    except PermissionError as error:
        sys.exit(
            f"error: {error.filename} cannot be written by this user: delete what another user "
            "left there (sudo make clean), or use a checkout of your own"
        )
    except OSError as error:
        sys.exit(f"error: {error.filename or ROOT}: {error.strerror}")
    except KeyboardInterrupt:
        sys.exit("interrupted: run the same command again; it goes on where it stopped")


def _dev() -> None:
    with _once(UV_ENVIRONMENT, "dev", "pyproject.toml") as due:
        if not due:
            return
        note = pythons.flink_note()
        if note:
            print(note, flush=True)
        with _step(".venv: Sealflow with its tools"):
            ensure_uv()
            install(UV_ENVIRONMENT, ["dev"], needed_mib=1200)
            install_project(UV_ENVIRONMENT)


def _flink() -> None:
    python = pythons.find_flink_python()
    if python is None:
        return
    with _once(FLINK, "flink", "build", python=python) as due:
        if due:
            with _step(".venv-flink: Apache Flink and a Java (950 MB)"):
                make_environment(FLINK, python)
                install(FLINK, ["flink"], needed_mib=1200)
                flink_code.complete(FLINK, copy=False)


def _audit() -> None:
    with _once(AUDIT, "audit") as due:
        if due:
            with _step(".venv-audit: pip-audit"):
                make_environment(AUDIT, sys.executable)
                install(AUDIT, ["audit"], needed_mib=100)


def _helm() -> None:
    with _once(HELM, "helm") as due:
        if due:
            with _step(".tools: helm and kubectl"):
                helm.fetch(HELM)


def _fuzz() -> None:
    install(UV_ENVIRONMENT, ["fuzz"], exact=False)


_STEPS = {"dev": _dev, "flink": _flink, "audit": _audit, "helm": _helm, "fuzz": _fuzz}


@contextmanager
def _once(folder: Path, *sources: str, python: str = sys.executable) -> Iterator[bool]:
    """Tell whether a folder is due to be made; note that it is complete when that worked.

    It is due again when a list, the Python or the place of the checkout has changed.
    """
    paths = [ROOT / each if "." in each else LISTS / f"{each}.txt" for each in sources]
    version = "" if python != sys.executable else sys.version
    facts = [str(folder), python, version, *(path.read_text(encoding="utf-8") for path in paths)]
    digest = hashlib.sha256("\0".join(facts).encode()).hexdigest()
    stamp = folder / ".complete"
    due = not stamp.exists() or stamp.read_text(encoding="utf-8").strip() != digest
    if due:
        stamp.unlink(missing_ok=True)
    yield due
    if due:
        stamp.write_text(f"{digest}\n", encoding="utf-8")


@contextmanager
def _step(title: str) -> Iterator[None]:
    """Print a step, and how long it took."""
    started = time.monotonic()
    print(f"{title} … ", end="\n" if sys.stderr.isatty() else "", flush=True)
    try:
        yield
    except BaseException:
        print(flush=True)
        raise
    print(f"done in {time.monotonic() - started:.0f} s", flush=True)


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other set-up of this checkout runs."""
    HELM.mkdir(exist_ok=True)
    with (HELM / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another set-up of this checkout is running: waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    main()
