"""Make an environment for images, with the files of its packages and nothing else.

An enclave's measurement must depend only on the lists. Installers write metadata of their own run
beside each package: their name, and the time and address of a file. Those files are removed.
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
    """Make an environment, install lists into it, and remove the installer's metadata.

    Raises: InstallError when the folder has other files, or an installation fails.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / "pyvenv.cfg").exists():
        raise InstallError(f"{folder} has files and is not an environment: name another folder")
    make_environment(folder, python)
    install(folder, lists, copies=True)
    remove_notes(folder)


def remove_notes(folder: Path) -> None:
    """Remove the installer's metadata; packages cannot be uninstalled afterwards."""
    (folder / ".lock").unlink(missing_ok=True)
    for described in folder.glob("lib/python3*/site-packages/*.dist-info"):
        for name in NOTES:
            (described / name).unlink(missing_ok=True)
