"""A trial by a new user in a fresh system, and its result."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.newcomer import authorities, packages
from tools.newcomer.fresh_root import HOME, USER, FreshRoot, ensure_tar, unpacked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHECKOUT = "sealflow"
LAST_WORDS = {"demo": r"^Served 1000 images in .*", "test": r"^=*\s?(\d+ \w+, )*\d+ passed.* in .*"}
"""Pattern that a command must print, besides ending with status 0; the table shows the match."""

_FACTS = (
    "import ensurepip, platform, sys; "
    "sys.stdout.write(f'{platform.python_version()} {ensurepip.version()}')"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of one command in one system. `said`: the line that shows it."""

    suite: str
    python: str = ""
    pip: str = ""
    command: str
    seconds: float
    passed: bool
    said: str


def attempt(suite: str, commands: list[str], source: Path, cache: Path) -> Iterator[Result]:
    """Run each command as a new user of a fresh system and yield its result.

    If the system cannot be prepared or a command takes too long, that failure is the last result.

    Args:
        suite: A name that mmdebstrap knows, such as `bookworm`.
        commands: Targets of make.
        source: The checkout, of which HEAD is cloned.
        cache: The folder of systems' tars and of logs.
    """
    log = cache / f"{suite}.log"
    log.unlink(missing_ok=True)
    started = time.monotonic()
    try:
        with unpacked(ensure_tar(suite, cache)) as root:
            _prepare(root, source, log)
            python, pip = _printed(root, log, "python3", "-c", _FACTS).split()
            for command in commands:
                started = time.monotonic()
                begin = log.stat().st_size
                code = root.run("make", command, log=log, directory=CHECKOUT)
                text = log.read_bytes()[begin:].decode(errors="replace")
                passed, said = _judge(command, code, text)
                yield Result(
                    suite=suite,
                    python=python,
                    pip=pip,
                    command=f"make {command}",
                    seconds=time.monotonic() - started,
                    passed=passed,
                    said=said,
                )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        seconds = time.monotonic() - started
        said = f"{error}; see {log}"
        yield Result(suite=suite, command="prepare", seconds=seconds, passed=False, said=said)


def _prepare(root: FreshRoot, source: Path, log: Path) -> None:
    """Install README's packages and clone the project.

    Raises: OSError, ValueError, SubprocessError.
    """
    wanted = packages.named((source / "README.md").read_text(encoding="utf-8"))
    # Without recommended packages: README's line must be sufficient.
    install = ("apt-get", "install", "-y", "-qq", "--no-install-recommends", *wanted)
    for step in (("apt-get", "update", "-qq"), install):
        if root.run(*step, log=log):
            raise subprocess.SubprocessError(f"{' '.join(step)} failed")
    authorities.install(root, log)
    bundle = root.folder / HOME.lstrip("/") / "sealflow.bundle"
    subprocess.run(  # noqa: S603
        ("git", "-C", source, "bundle", "create", "--quiet", bundle, "HEAD"),  # noqa: S607
        check=True,
    )
    bundle.chmod(0o644)
    clone = ("git", "clone", "--quiet", bundle.name, CHECKOUT)
    if root.run(*clone, log=log, directory="."):
        raise subprocess.SubprocessError(f"git clone as {USER} failed")
    bundle.unlink()


def _printed(root: FreshRoot, log: Path, *command: str) -> str:
    begin = log.stat().st_size
    root.run(*command, log=log, directory=".")
    return log.read_bytes()[begin:].decode().splitlines()[-1]


def _judge(command: str, code: int, printed: str) -> tuple[bool, str]:
    """Return whether a command succeeded, and the line of its output that shows it."""
    wanted = LAST_WORDS.get(command)
    found = re.search(wanted, printed, re.MULTILINE) if wanted else None
    if code == 0 and (found or not wanted):
        return True, found[0].strip("= ") if found else "done"
    lines = [line for line in printed.splitlines() if line.strip()]
    return False, f"status {code}: {found[0] if found else lines[-1]}"
