"""Renew the lists of pinned packages: `make lock`; `make lock KEEP=1` keeps pins that still fit.

uv resolves each `requirements/*.in` for all supported Pythons at once and writes hashes, markers
and extras. The requirements that each pinned release declares in its own metadata are then written
to `metadata.json`, so that a test can check the lists without a package index. A release without a
wheel for a supported Python is refused, unless `BUILT` names it.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from email.parser import HeaderParser
from pathlib import Path

from tools.setup import pythons
from tools.setup.installer import LISTS, access, ensure_uv

ORDER = {
    "uv": (),
    "dev": (),
    "trusted": ("dev",),
    "owner": ("dev",),
    "host": ("dev",),
    "fuzz": ("dev",),
    "flink": ("host",),
    "audit": (),
    "site": (),
    "pyright": (),
    "helm": (),
    "build": (),
}
"""Each list, in the order of compilation, with the lists whose pins constrain it."""

PARTS = {"trusted", "owner", "host"}
"""Lists whose releases are all in `dev`."""

WITHOUT_DEPENDENCIES = {"helm"}
"""Lists without the dependencies of their packages, as only the packages' files are used."""

BUILT = {"crcmod", "dill", "docopt", "hdfs"}
"""Pure Python packages without published wheels, built with the pinned tools of `build.txt`."""

METADATA = LISTS / "metadata.json"
CONSTRAINTS = LISTS / "constraints.txt"
PLATFORM = "x86_64-manylinux_2_28"


def main() -> None:
    """Write all lists, the constraints and the metadata."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep pins that still fit")
    keep = parser.parse_args().keep
    for name, shared in ORDER.items():
        compile_list(name, shared, keep=keep)
        print(f"requirements/{name}.txt: {len(pins(name))} releases", flush=True)
    write_constraints()
    write_metadata()


def compile_list(name: str, shared: tuple[str, ...], *, keep: bool) -> None:
    """Resolve one list for all supported Pythons; `shared`: lists whose pins constrain it."""
    options = ["--universal", "--generate-hashes", "--no-strip-extras", "--no-header", "--quiet"]
    options += ["--python-version", pythons.text(pythons.SUPPORTED[0]), "--no-emit-index-url"]
    options += [f"--constraints={LISTS / each}.txt" for each in shared]
    options += [] if keep else ["--upgrade"]
    options += ["--no-deps"] if name in WITHOUT_DEPENDENCIES else []
    # A relative path, because uv writes the names of the files into the list.
    target = (LISTS / f"{name}.txt").relative_to(LISTS.parent)
    run("compile", *options, str(target.with_suffix(".in")), "--output-file", str(target))


def pins(name: str) -> dict[str, list[str]]:
    """Return the pinned versions of a list by package; there may be one for each Python."""
    found: dict[str, list[str]] = {}
    text = (LISTS / f"{name}.txt").read_text(encoding="utf-8")
    for package, version in re.findall(
        r"^([\w.-]+)(?:\[[\w,.-]+\])?==([^\s;]+)", text, re.MULTILINE
    ):
        found.setdefault(package, []).append(version)
    return found


def write_constraints() -> None:
    """Write the tested versions as constraints for users of the wheel, without hashes or extras."""
    text = (LISTS / "dev.txt").read_text(encoding="utf-8")
    lines = re.findall(r"^([\w.-]+)(?:\[[\w,.-]+\])?(==.*?) *\\?$", text, re.MULTILINE)
    CONSTRAINTS.write_text("".join(f"{name}{pin}\n" for name, pin in lines), encoding="utf-8")


def write_metadata() -> None:
    """Write what each pinned release requires, from its own metadata."""
    releases: dict[str, dict[str, object]] = {}
    for name in sorted(ORDER.keys() - PARTS):
        print(f"reading the requirements of the releases of {name}", flush=True)
        wheels, built = split_list(name)
        for version in pythons.FLINK if name == "flink" else pythons.SUPPORTED:
            target = ("--python-version", pythons.text(version), "--python-platform", PLATFORM)
            releases |= read_releases(wheels, *target, "--only-binary", ":all:")
        releases |= read_releases(built, "--build-constraints", str(LISTS / "build.txt"))
    text = json.dumps(dict(sorted(releases.items())), indent=1, ensure_ascii=False)
    METADATA.write_text(f"{text}\n", encoding="utf-8")


def split_list(name: str) -> tuple[str, str]:
    """Return the entries of a list that have wheels, and those that must be built."""
    text = (LISTS / f"{name}.txt").read_text(encoding="utf-8")
    entries = re.findall(r"^[a-z0-9].*(?:\n +.*)*\n", text, re.MULTILINE)
    built = [each for each in entries if each.partition("==")[0] in BUILT]
    return "".join(each for each in entries if each not in built), "".join(built)


def read_releases(listed: str, *options: str) -> dict[str, dict[str, object]]:
    """Install entries of a list into a temporary folder; return what each asks for."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.txt"
        path.write_text(listed, encoding="utf-8")
        target = ("--target", str(Path(folder) / "packages"))
        run("install", "--quiet", "--no-deps", *options, *target, "--requirement", str(path))
        return dict(map(release_metadata, Path(folder).glob("packages/*.dist-info/METADATA")))


def release_metadata(path: Path) -> tuple[str, dict[str, object]]:
    """Return `name==version`, and the Python, extras and packages that a METADATA file declares."""
    message = HeaderParser().parsestr(path.read_text(encoding="utf-8"))
    name = re.sub(r"[-_.]+", "-", str(message["Name"])).lower()
    return f"{name}=={message['Version']}", {
        "python": message["Requires-Python"] or "",
        "extras": sorted(message.get_all("Provides-Extra") or []),
        "requires": sorted(message.get_all("Requires-Dist") or []),
    }


def run(action: str, *arguments: str) -> None:
    """Run `uv pip` and exit if it fails; uv prints the reason."""
    environment = dict(access().uv)
    # Hashes come from the default index only: other sources may hold builds of their own.
    for name in ("UV_INDEX", "UV_FIND_LINKS"):
        environment.pop(name, None)
    done = subprocess.run(  # noqa: S603 - uv, with our arguments
        [ensure_uv(), "pip", action, *arguments], cwd=LISTS.parent, env=environment, check=False
    )
    if done.returncode:
        sys.exit(f"error: uv pip {action} {' '.join(arguments)}")


if __name__ == "__main__":
    main()
