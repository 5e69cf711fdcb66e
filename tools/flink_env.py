"""Make the environment of Flink's Python operators: `python tools/flink_env.py FOLDER`.

PyFlink, a Java runtime, and of Sealflow the host's code alone: linked, so that an edit counts at
once, or copied with `--copy`. What opens sealed messages is not in it and cannot be imported.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "requirements" / "flink.txt"
HOST_CODE = (
    "__init__.py",
    "clock.py",
    "errors.py",
    "files.py",
    "py.typed",
    "streams",
    "wire",
    "host",
)


def main() -> None:
    """Make it anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--copy", action="store_true", help="for images: the code itself")
    parser.add_argument("--code-only", action="store_true", help="the packages are there already")
    options = parser.parse_args()
    folder = options.folder.resolve()
    if not options.code_only:
        install_packages(folder)
    packages = site_packages(folder)
    place_flink_python(packages / "pyflink")
    place_host_code(packages / "sealflow", copy=options.copy)


def install_packages(folder: Path) -> None:
    """Make the environment with what the list pins."""
    venv.create(folder, clear=True, with_pip=True)
    print(f"installing Apache Flink into {folder} (950 MB, about two minutes)", flush=True)
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    subprocess.run(  # noqa: S603 - the environment's own pip
        [folder / "bin" / "python", *install, "--require-hashes", "-r", REQUIREMENTS], check=True
    )


def site_packages(folder: Path) -> Path:
    """Where a virtual environment keeps its packages."""
    (found,) = (folder / "lib").glob("python3*/site-packages")
    return found


def place_flink_python(pyflink: Path) -> None:
    """Put the jar that runs Python functions where a cluster loads it from."""
    (jar,) = (pyflink / "opt").glob("flink-python-*.jar")
    (pyflink / "lib" / jar.name).symlink_to(Path("..") / "opt" / jar.name)


def place_host_code(target: Path, *, copy: bool) -> None:
    """Put the host's part of the package into an environment."""
    target.mkdir()
    for name in HOST_CODE:
        source = ROOT / "src" / "sealflow" / name
        if not copy:
            (target / name).symlink_to(source)
        elif source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target / name)


if __name__ == "__main__":
    sys.exit(main())
