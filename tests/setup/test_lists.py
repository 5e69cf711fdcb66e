"""The lists of pinned releases hold all that they need, as far as metadata says; no index is asked.

Some installers refuse a list that lacks an extra which one of its releases asks for, once a newer
release exists: a list must be whole on the day that it is written.
"""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.setup import closure
from tools import lock
from tools.setup import pythons

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
TEXTS = {name: (closure.LISTS / f"{name}.txt").read_text(encoding="utf-8") for name in lock.ORDER}
PINS = {name: closure.read_list(text) for name, text in TEXTS.items()}
METADATA = closure.read_metadata()
ENVIRONMENTS = {
    ".venv": "dev",
    ".venv-audit": "audit",
    ".venv-flink": "flink",
    ".venv-pyright": "pyright",
    ".venv-site": "site",
}
TRUSTED = {
    "cffi",
    "cryptography",
    "dcap-qvl",
    "flatbuffers",
    "numpy",
    "onnxruntime",
    "openvino",
    "openvino-telemetry",
    "packaging",
    "protobuf",
    "pycparser",
    "pyspng",
    "simplejpeg",
}


@pytest.mark.parametrize("name", lock.ORDER)
def test_closure(name: str) -> None:
    """A list pins all that its releases ask for on each Python and machine, and no more."""
    assert closure.findings(name, PINS[name], METADATA) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda text: text.replace("coverage[toml]==", "coverage=="),
            r"pytest-cov==\S+ asks for coverage\[toml\]\S*, but coverage==\S+ is pinned without .*",
        ),
        (
            lambda text: re.sub(r"^iniconfig==(.*\n)(    .*\n)*", "", text, flags=re.MULTILINE),
            r"pytest==\S+ asks for iniconfig\S*, which is not pinned",
        ),
        (
            lambda text: re.sub(r"^pluggy==\S+", "pluggy==99", text, flags=re.MULTILINE),
            r"pytest==\S+ asks for pluggy\S*, but pluggy==99 is pinned",
        ),
        (
            lambda text: re.sub(r"^editables==", "attrs2==1 \\\n\\g<0>", text, flags=re.MULTILINE),
            r"nothing asks for attrs2==1",
        ),
    ],
    ids=["extra", "missing", "newer", "needless"],
)
def test_a_bent_list(change: Callable[[str], str], told: str) -> None:
    """A list that lacks an extra or a release, or has a wrong one, is reported for each Python."""
    text = change(TEXTS["dev"])
    assert text != TEXTS["dev"]
    found = closure.findings("dev", closure.read_list(text), METADATA)
    for version in pythons.SUPPORTED:
        start = rf"dev\.txt, Python {pythons.text(version)}\.\d+, (x86_64|aarch64): "
        assert any(re.fullmatch(start + told, each) for each in found)


def test_a_bent_marker() -> None:
    """A marker that leaves a release out is reported for the Pythons where it is missing alone."""
    text = re.sub(
        r"^attrs==\S+", "\\g<0> ; python_version < '3.13'", TEXTS["dev"], flags=re.MULTILINE
    )
    found = closure.findings("dev", closure.read_list(text), METADATA)
    assert any("aiohttp" in each and "which is not pinned" in each for each in found)
    assert {each.split()[2].rpartition(".")[0] for each in found} == {"3.13", "3.14"}


def test_a_release_for_other_pythons() -> None:
    """A release that does not run on one of the Pythons is reported."""
    bent = {name: dict(each) for name, each in METADATA.items()}
    (release,) = (pin.release for pin in PINS["dev"] if pin.name == "rich")
    bent[release]["python"] = ">=3.12"
    found = closure.findings("dev", PINS["dev"], bent)
    assert {each.split()[2].rpartition(".")[0] for each in found} == {"3.11"}
    assert all(f"{release} runs on Python >=3.12 alone" in each for each in found)


@pytest.mark.parametrize("name", lock.ORDER)
def test_hashes(name: str) -> None:
    """Every release of a list is pinned to one version and has hashes."""
    for pin in PINS[name]:
        assert re.fullmatch(r"==[^*,]+", str(pin.requirement.specifier)), pin
        assert pin.hashes, pin
    assert sum(pin.hashes for pin in PINS[name]) == TEXTS[name].count("--hash=")


def test_metadata_of_all_releases() -> None:
    """What each release asks for is known, and nothing is known of others."""
    everywhere = {pin.release for pins in PINS.values() for pin in pins}
    here = {
        pin.release
        for name, pins in PINS.items()
        for values in closure.markers(name)
        for pin in pins
        if closure.applies(pin.requirement, values)
    }
    assert here <= METADATA.keys() <= everywhere


@pytest.mark.parametrize(("environment", "name"), ENVIRONMENTS.items())
def test_metadata_of_what_is_installed(environment: str, name: str) -> None:
    """What the project knows of a release is what its installed metadata says."""
    folders = [*(ROOT / environment).glob("lib/python3*/site-packages")]
    if not folders:
        pytest.skip(f"no {environment} here")
    listed = {pin.release for pin in PINS[name]}
    compared = set()
    for each in importlib.metadata.distributions(path=[str(folders[0])]):
        release = f"{canonicalize_name(each.name)}=={each.version}"
        if release not in listed:
            continue  # Sealflow itself, or another list's
        assert sorted(each.requires or []) == METADATA[release]["requires"]
        assert (each.metadata.get_all("Requires-Python") or [""])[0] == METADATA[release]["python"]
        assert sorted(each.metadata.get_all("Provides-Extra") or []) == METADATA[release]["extras"]
        compared.add(release)
    assert compared


def test_shared_releases() -> None:
    """Lists that are installed beside each other pin the same releases."""
    for name, others in lock.ORDER.items():
        for other in others:
            releases = {
                pin.name: {p.release for p in PINS[other] if p.name == pin.name}
                for pin in PINS[other]
            }
            for pin in PINS[name]:
                assert pin.release in releases.get(pin.name, {pin.release}), (name, other)


def test_trusted_releases() -> None:
    """Enclaves hold these packages, each of which is in the tools' list as well."""
    assert {pin.name for pin in PINS["trusted"]} == TRUSTED
    for part in lock.PARTS:
        assert {pin.release for pin in PINS[part]} <= {pin.release for pin in PINS["dev"]}


def test_constraints() -> None:
    """The constraints for users of the wheel are the tools' list without hashes and extras."""
    lines = (closure.LISTS / "constraints.txt").read_text(encoding="utf-8").splitlines()
    written = {str(Requirement(each)) for each in lines}
    expected = set()
    for pin in PINS["dev"]:
        pin.requirement.extras.clear()
        expected.add(str(pin.requirement))
    assert written == expected
    assert len(lines) == len(PINS["dev"])


def test_no_index() -> None:
    """No list names an index or an address: where packages come from is the user's setting."""
    for path in (*closure.LISTS.iterdir(), *(ROOT / "tests" / "setup").glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        assert "://" not in text, path
        assert not re.search(r"^\s*-(?!r |-hash=)", text, re.MULTILINE), path
