"""Whether a list of pinned releases holds all that its releases ask for, said without an index."""

from __future__ import annotations

import json
import re
from collections import deque
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tools import lock
from tools.setup import pythons

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LISTS: Final = Path(__file__).resolve().parents[2] / "requirements"
MACHINES: Final = ("x86_64", "aarch64")

_ENTRY = re.compile(r"^([A-Za-z0-9][^\\#\n]*?) *\\?\n((?: +.*\n?)*)", re.MULTILINE)
_NEWEST_PATCH = 99


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """An entry of a list."""

    requirement: Requirement
    hashes: int

    @property
    def name(self) -> str:
        """The package, as indexes write it."""
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        """The release."""
        return str(self.requirement.specifier).removeprefix("==")

    @property
    def release(self) -> str:
        """`name==version`."""
        return f"{self.name}=={self.version}"


def read_list(text: str) -> list[Pin]:
    """Return the entries of a list."""
    return [
        Pin(requirement=Requirement(entry), hashes=rest.count("--hash=sha256:"))
        for entry, rest in _ENTRY.findall(text)
    ]


def read_wishes(name: str) -> list[Requirement]:
    """Return what a list was compiled from: the lines of its `.in` file and of those it names."""
    wishes: list[Requirement] = []
    for line in (LISTS / f"{name}.in").read_text(encoding="utf-8").splitlines():
        wanted = line.partition("#")[0].strip()
        if wanted.startswith("-r "):
            wishes += read_wishes(wanted.removeprefix("-r ").removesuffix(".in"))
        elif wanted:
            wishes.append(Requirement(wanted))
    return wishes


def read_metadata() -> dict[str, dict[str, Sequence[str]]]:
    """Return what each release asks for, by `name==version`."""
    text = (LISTS / "metadata.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def markers(name: str) -> Iterator[dict[str, str]]:
    """Yield the values of markers for each Python and machine that a list is for."""
    for version in pythons.FLINK if name == "flink" else pythons.SUPPORTED:
        for patch in _patches(pythons.text(version)):
            for machine in MACHINES:
                yield {
                    "python_version": pythons.text(version),
                    "python_full_version": f"{pythons.text(version)}.{patch}",
                    "platform_machine": machine,
                    "sys_platform": "linux",
                    "platform_system": "Linux",
                    "os_name": "posix",
                    "implementation_name": "cpython",
                    "implementation_version": f"{pythons.text(version)}.{patch}",
                    "platform_python_implementation": "CPython",
                    "platform_release": "",
                    "platform_version": "",
                    "extra": "",
                }


@cache
def _patches(version: str) -> list[int]:
    """Return the patch releases of a Python that some marker may tell apart."""
    texts = [path.read_text(encoding="utf-8") for path in LISTS.iterdir()]
    named = {int(each) for text in texts for each in re.findall(rf"\b{version}\.(\d+)\b", text)}
    return sorted({0, _NEWEST_PATCH} | named | {each - 1 for each in named if each})


def findings(
    name: str, pins: Sequence[Pin], metadata: Mapping[str, Mapping[str, Sequence[str]]]
) -> list[str]:
    """Return a sentence for everything that a list lacks, or holds in vain."""
    found: dict[str, None] = {}
    for values in markers(name):
        where = f"{name}.txt, Python {values['python_full_version']}, {values['platform_machine']}"
        for sentence in _findings_for(name, pins, metadata, values):
            found[f"{where}: {sentence}"] = None
    return list(found)


def _findings_for(
    name: str,
    pins: Sequence[Pin],
    metadata: Mapping[str, Mapping[str, Sequence[str]]],
    values: Mapping[str, str],
) -> Iterator[str]:
    applying = {each.name: each for each in pins if applies(each.requirement, values)}
    due = deque(("the .in file", each) for each in read_wishes(name) if applies(each, values))
    seen: set[tuple[str, str]] = set()
    while due:
        asker, wish = due.popleft()
        pin = applying.get(canonicalize_name(wish.name))
        if pin is None:
            yield f"{asker} asks for {wish}, which is not pinned"
            continue
        yield from _differences(asker, wish, pin)
        new = {(pin.name, extra) for extra in ("", *wish.extras)} - seen
        seen |= new
        if name not in lock.WITHOUT_DEPENDENCIES:
            requires = metadata.get(pin.release, {}).get("requires", ())
            for asked in map(_parsed, requires):
                if any(applies(asked, {**values, "extra": extra}) for _, extra in new):
                    due.append((pin.release, asked))
    yield from _needless(pins, applying, {each for each, _ in seen}, values)
    for each in applying.values():
        wanted = metadata.get(each.release, {}).get("python", "")
        if not SpecifierSet(str(wanted)).contains(values["python_full_version"]):
            yield f"{each.release} runs on Python {wanted} alone"


def _differences(asker: str, wish: Requirement, pin: Pin) -> Iterator[str]:
    if not wish.specifier.contains(pin.version, prereleases=True):
        yield f"{asker} asks for {wish}, but {pin.release} is pinned"
    there = {canonicalize_name(each) for each in pin.requirement.extras}
    lacking = sorted({canonicalize_name(each) for each in wish.extras} - there)
    if lacking:
        yield f"{asker} asks for {wish}, but {pin.release} is pinned without {lacking}"


def _needless(
    pins: Sequence[Pin], applying: Mapping[str, Pin], asked: set[str], values: Mapping[str, str]
) -> Iterator[str]:
    for each in pins:
        if not applies(each.requirement, values):
            continue
        if applying[each.name] is not each:
            yield f"{each.release} and {applying[each.name].release} are pinned"
        if each.name not in asked:
            yield f"nothing asks for {each.release}"


_parsed = cache(Requirement)
"""A requirement from its text; the same ones come for each Python."""


def applies(requirement: Requirement, values: Mapping[str, str]) -> bool:
    """Say whether a requirement counts where markers have these values."""
    return requirement.marker is None or requirement.marker.evaluate(dict(values))
