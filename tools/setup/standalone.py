"""Make an environment that holds the files of its packages and nothing else: for images.

The files that measure an enclave must depend on the lists alone. Installers write notes about their
own run beside each package: their name, the time and address of a file. Those are removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.setup import pythons
from tools.setup.installer import InstallError, install, make_environment

if TYPE_CHECKING:
    from pathlib import Path

NOTES = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_build.json", "uv_cache.json")
"""Files of a `.dist-info` folder that an installer writes, not the author of the package."""


def make(folder: Path, lists: list[str], python: str = pythons.THIS) -> None:
    """Make an environment, install lists into it, and remove the installer's notes.

    Raises: InstallError.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / "pyvenv.cfg").exists():
        raise InstallError(f"{folder} has files and is not an environment: name another folder")
    make_environment(folder, python)
    install(folder, lists, copies=True)
    remove_notes(folder)


def remove_notes(folder: Path) -> None:
    """Remove what installers write about their own run; nothing can be uninstalled afterwards."""
    (folder / ".lock").unlink(missing_ok=True)
    for described in folder.glob("lib/python3*/site-packages/*.dist-info"):
        for name in NOTES:
            (described / name).unlink(missing_ok=True)
