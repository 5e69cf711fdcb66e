"""Install the packages of the JavaScript client from its lock, where there is a Node.js."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from tools.setup import progress
from tools.setup.installer import ROOT, InstallError

if TYPE_CHECKING:
    from pathlib import Path

CLIENT = ROOT / "clients" / "js"
OLDEST = (20, 19)
"""The oldest Node.js that the client runs on, as its package.json says."""


def find() -> str | None:
    """Return the path of a Node.js that can run the client and comes with npm, or None."""
    node = shutil.which("node")
    return node if node and shutil.which("npm") and _version(node) >= OLDEST else None


def missing() -> str:
    """Say why the client's tests are left out; empty if nothing is missing."""
    if find():
        return ""
    wanted = ".".join(map(str, OLDEST))
    return (
        f"no Node.js {wanted} or newer with npm: the tests of the JavaScript client are skipped. "
        "All else works."
    )


def install(folder: Path) -> None:
    """Install exactly the locked packages into `node_modules` of a folder; run no code of theirs.

    What npm's cache holds is not asked for again.

    Raises: InstallError when a package cannot be fetched or has another hash.
    """
    command = ["npm", "ci", "--ignore-scripts", "--prefer-offline", "--prefix", str(folder)]
    code, printed = progress.run(command, os.environ)
    if code:
        raise InstallError(
            f"npm could not install {folder / 'package-lock.json'}: {_last(printed)}"
        )


def _last(printed: str) -> str:
    """Return the line that says what was wrong."""
    lines = [line.removeprefix("npm error ").strip() for line in printed.splitlines()]
    telling = [line for line in lines if line and not line.startswith(("A complete log", "code "))]
    return telling[0] if telling else "no reason was given"


def _version(node: str) -> tuple[int, int]:
    done = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)  # noqa: S603 - Node.js of this machine
    found = re.match(r"v(\d+)\.(\d+)\.", done.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)
