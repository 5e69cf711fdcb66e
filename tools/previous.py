"""Keep a release as a wheel for tests of the next one: `python -m tools.previous [COMMIT]`.

The wheel is built from a commit by the project's own build, then examples and chart are left out,
which are most of its bytes. The lists of what the release runs with lie beside it.
`tests/data/previous/README.md` says what the wheel is for.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "tests" / "data" / "previous"
LEFT_OUT = "sealflow/share/"
LISTS = ("owner.txt", "host.txt", "trusted.txt")


def main() -> None:
    """Replace the kept wheel, and print its name and SHA-256."""
    parser = argparse.ArgumentParser(prog="python -m tools.previous", description=__doc__)
    parser.add_argument("commit", nargs="?", default="HEAD", help="commit or tag  [default: HEAD]")
    commit = _git("rev-parse", "--short=9", f"{parser.parse_args().commit}^{{commit}}")
    short = commit.decode().strip()
    with tempfile.TemporaryDirectory() as folder:
        wheel = build(short, Path(folder))
        name, data = reduce(wheel.name, wheel.read_bytes(), short)
    for old in FOLDER.glob("*.whl*"):
        old.unlink()
    for each in LISTS:
        (FOLDER / each).write_bytes(_git("show", f"{short}:requirements/{each}"))
    digest = hashlib.sha256(data).hexdigest()
    (FOLDER / name).write_bytes(data)
    (FOLDER / f"{name}.sha256").write_text(f"{digest}  {name}\n", encoding="utf-8")
    print(f"{name}  {len(data)} bytes\n{digest}")


def build(commit: str, folder: Path) -> Path:
    """Build the wheel of a commit in a folder, and return its path.

    Raises: CalledProcessError when git or the build fails.
    """
    source = folder / "source"
    with tarfile.open(fileobj=io.BytesIO(_git("archive", commit))) as archive:
        archive.extractall(source, filter="data")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)  # noqa: S603 - our own
    (found,) = folder.glob("*.whl")
    return found


def reduce(name: str, wheel: bytes, commit: str) -> tuple[str, bytes]:
    """Return name and bytes of a wheel without examples and chart, whose build tag is the commit.

    A build tag begins with a digit. `0g` is the digit, and the letter that git puts before commits.
    """
    tag = f"0g{commit}"
    project, version, rest = name.split("-", 2)
    metadata = f"{project}-{version}.dist-info"
    with zipfile.ZipFile(io.BytesIO(wheel)) as read:
        files = {each: read.read(each) for each in read.namelist()}
    files = {each: data for each, data in files.items() if not each.startswith(LEFT_OUT)}
    files[f"{metadata}/WHEEL"] += f"Build: {tag}\n".encode()
    files[f"{metadata}/RECORD"] = _record(files, f"{metadata}/RECORD")
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for each, data in files.items():
            # A fixed time, so that a commit makes the same bytes again.
            archive.writestr(
                zipfile.ZipInfo(each, (2020, 2, 2, 0, 0, 0)),
                data,
                compresslevel=9,
                compress_type=zipfile.ZIP_DEFLATED,
            )
    return f"{project}-{version}-{tag}-{rest}", written.getvalue()


def _record(files: dict[str, bytes], own: str) -> bytes:
    lines = []
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        lines.append(f"{name},," if name == own else f"{name},sha256={digest},{len(data)}")
    return "".join(f"{line}\n" for line in lines).encode()


def _git(*arguments: str) -> bytes:
    command = ["git", *arguments]
    if shutil.which("git") is None:
        sys.exit("error: no git here: install git")
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout  # noqa: S603


if __name__ == "__main__":
    main()
