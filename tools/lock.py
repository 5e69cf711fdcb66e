"""Renew the lists of pinned packages: `make lock`; `make lock KEEP=1` keeps what still fits.

uv resolves each `requirements/*.in` for all supported Pythons at once and writes hashes, markers
and extras. Then what each pinned release asks for itself is noted in `metadata.json`, from its own
metadata, so that a test can check the lists without an index. Releases without a wheel for a
supported Python are refused, except those that `BUILT` names.
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
    "helm": (),
    "build": (),
}
"""Each list, and those whose pins it shares."""

PARTS = {"trusted", "owner", "host"}
"""Lists of which `dev` holds every release."""

WITHOUT_DEPENDENCIES = {"helm"}
"""Lists of packages of which only the files are used."""

BUILT = {"crcmod", "dill", "docopt", "hdfs"}
"""Pure Python code that its authors never published as wheels; built with what `build.txt` pins."""

METADATA = LISTS / "metadata.json"
CONSTRAINTS = LISTS / "constraints.txt"
PLATFORM = "x86_64-manylinux_2_28"


def main() -> None:
    """Write all lists anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep pins that still fit")
    keep = parser.parse_args().keep
    for name, shared in ORDER.items():
        compile_list(name, shared, keep=keep)
        print(f"requirements/{name}.txt: {len(pins(name))} releases", flush=True)
    write_constraints()
    write_metadata()


def compile_list(name: str, shared: tuple[str, ...], *, keep: bool) -> None:
    """Resolve one list for all supported Pythons."""
    options = ["--universal", "--generate-hashes", "--no-strip-extras", "--no-header", "--quiet"]
    options += ["--python-version", pythons.text(pythons.SUPPORTED[0]), "--no-emit-index-url"]
    options += [f"--constraints={LISTS / each}.txt" for each in shared]
    options += [] if keep else ["--upgrade"]
    options += ["--no-deps"] if name in WITHOUT_DEPENDENCIES else []
    # Relative, because the names of the files are written into the list.
    target = (LISTS / f"{name}.txt").relative_to(LISTS.parent)
    run("compile", *options, str(target.with_suffix(".in")), "--output-file", str(target))


def pins(name: str) -> dict[str, list[str]]:
    """Return the releases of a list by package; there may be one for each Python."""
    found: dict[str, list[str]] = {}
    text = (LISTS / f"{name}.txt").read_text(encoding="utf-8")
    for package, version in re.findall(
        r"^([\w.-]+)(?:\[[\w,.-]+\])?==([^\s;]+)", text, re.MULTILINE
    ):
        found.setdefault(package, []).append(version)
    return found


def write_constraints() -> None:
    """Write the tested versions for users of the wheel; a constraint has neither hash nor extra."""
    text = (LISTS / "dev.txt").read_text(encoding="utf-8")
    lines = re.findall(r"^([\w.-]+)(?:\[[\w,.-]+\])?(==.*?) *\\?$", text, re.MULTILINE)
    CONSTRAINTS.write_text("".join(f"{name}{pin}\n" for name, pin in lines), encoding="utf-8")


def write_metadata() -> None:
    """Note what each pinned release asks for, from its own metadata."""
    releases: dict[str, dict[str, object]] = {}
    for name in sorted(ORDER.keys() - PARTS):
        print(f"reading what the releases of {name} ask for", flush=True)
        wheels, built = split_list(name)
        for version in pythons.FLINK if name == "flink" else pythons.SUPPORTED:
            target = ("--python-version", pythons.text(version), "--python-platform", PLATFORM)
            releases |= read_releases(wheels, *target, "--only-binary", ":all:")
        releases |= read_releases(built, "--build-constraints", str(LISTS / "build.txt"))
    text = json.dumps(dict(sorted(releases.items())), indent=1, ensure_ascii=False)
    METADATA.write_text(f"{text}\n", encoding="utf-8")


def split_list(name: str) -> tuple[str, str]:
    """Return the entries of a list that are wheels, and those that must be built."""
    text = (LISTS / f"{name}.txt").read_text(encoding="utf-8")
    entries = re.findall(r"^[a-z0-9].*(?:\n +.*)*\n", text, re.MULTILINE)
    built = [each for each in entries if each.partition("==")[0] in BUILT]
    return "".join(each for each in entries if each not in built), "".join(built)


def read_releases(listed: str, *options: str) -> dict[str, dict[str, object]]:
    """Install entries of a list into a folder for a while; return what each asks for."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.txt"
        path.write_text(listed, encoding="utf-8")
        target = ("--target", str(Path(folder) / "packages"))
        run("install", "--quiet", "--no-deps", *options, *target, "--requirement", str(path))
        return dict(map(described, Path(folder).glob("packages/*.dist-info/METADATA")))


def described(path: Path) -> tuple[str, dict[str, object]]:
    """Return `name==version` and what that release asks for."""
    message = HeaderParser().parsestr(path.read_text(encoding="utf-8"))
    name = re.sub(r"[-_.]+", "-", str(message["Name"])).lower()
    return f"{name}=={message['Version']}", {
        "python": message["Requires-Python"] or "",
        "extras": sorted(message.get_all("Provides-Extra") or []),
        "requires": sorted(message.get_all("Requires-Dist") or []),
    }


def run(action: str, *arguments: str) -> None:
    """Run uv; its own words are the error."""
    environment = dict(access().uv)
    # Hashes are taken from the index alone: a folder of this machine may hold builds of its own.
    for name in ("UV_INDEX", "UV_FIND_LINKS"):
        environment.pop(name, None)
    done = subprocess.run(  # noqa: S603 - uv, with our arguments
        [ensure_uv(), "pip", action, *arguments], cwd=LISTS.parent, env=environment, check=False
    )
    if done.returncode:
        sys.exit(f"error: uv pip {action} {' '.join(arguments)}")


if __name__ == "__main__":
    main()
