"""Complete an environment of Apache Flink: `python -m tools.setup.flink_code FOLDER [--copy]`.

It gets the jar that runs Python functions, and only the host's part of Sealflow: linked, so that an
edit takes effect at once, or copied for images. Code that opens sealed messages is not in the
environment and cannot be imported there.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOST_CODE = (
    "__init__.py",
    "backoff.py",
    "clock.py",
    "defects.py",
    "errors.py",
    "evidence_hints.py",
    "files.py",
    "host",
    "py.typed",
    "streams",
    "wire",
)


def main() -> None:
    """Complete an environment from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--copy", action="store_true", help="copy the code, for images")
    options = parser.parse_args()
    complete(options.folder.resolve(), copy=options.copy)


def complete(folder: Path, *, copy: bool) -> None:
    """Add Flink's jar and the host's code to an environment with the packages of `flink.txt`."""
    (packages,) = (folder / "lib").glob("python3*/site-packages")
    place_flink_python(packages / "pyflink")
    place_host_code(packages / "sealflow", copy=copy)


def place_flink_python(pyflink: Path) -> None:
    """Link the jar that runs Python functions into `lib`, from which a cluster loads its jars."""
    (jar,) = (pyflink / "opt").glob("flink-python-*.jar")
    link = pyflink / "lib" / jar.name
    link.unlink(missing_ok=True)
    link.symlink_to(Path("..") / "opt" / jar.name)


def place_host_code(target: Path, *, copy: bool) -> None:
    """Link or copy the host's part of the package to `target`, which is emptied first."""
    shutil.rmtree(target, ignore_errors=True)
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
    main()
