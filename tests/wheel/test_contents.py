"""What is in the wheel and in the source archive."""

from __future__ import annotations

import subprocess
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from typing import TYPE_CHECKING, Final

from sealflow import __version__
from tests.support.hosts.python_environments import ROOT, build_distributions

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES: Final = "sealflow/share/examples"
CHART: Final = "sealflow/share/deploy/chart"
METADATA: Final = f"sealflow-{__version__}.dist-info"


def names(wheel: Path) -> set[str]:
    """The files of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def below(folder: Path) -> set[str]:
    """The files of a folder of the repository, by their paths below it."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_only_the_package(wheel: Path) -> None:
    """The wheel holds the package and its metadata: no tests, no tools, nothing beside them."""
    found = names(wheel)
    assert {name.partition("/")[0] for name in found} == {"sealflow", METADATA}
    assert not [name for name in found if "/tests/" in name or "/tools/" in name]
    assert not [name for name in found if name.endswith(("make.py", "ruff.toml", ".pyc"))]


def test_every_module(wheel: Path) -> None:
    """Every module of the source is in it, and the marker that says that it is typed."""
    source = ROOT / "src"
    modules = {str(path.relative_to(source)) for path in source.rglob("*.py")}
    assert modules | {"sealflow/py.typed"} <= names(wheel)


def test_examples_and_chart(wheel: Path) -> None:
    """It carries the examples with their licences, and the whole chart, as they are here."""
    found = names(wheel)
    carried = {name for name in found if name.startswith("sealflow/share/")}
    wanted = {f"{CHART}/{name}" for name in below(ROOT / "deploy" / "chart")}
    for example in ("efficientnet-lite0", "photos", "tiny"):
        files = below(ROOT / "examples" / example) - {"make.py"}
        wanted |= {f"{EXAMPLES}/{example}/{name}" for name in files}
    assert carried == wanted
    assert {f"{EXAMPLES}/efficientnet-lite0/LICENSE", f"{EXAMPLES}/photos/NOTICE"} <= carried


def test_extras(wheel: Path) -> None:
    """Its metadata has the extras of pyproject.toml, and one base dependency."""
    with zipfile.ZipFile(wheel) as archive:
        metadata = Parser().parsestr(archive.read(f"{METADATA}/METADATA").decode())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(metadata.get_all("Provides-Extra") or ()) == set(project["optional-dependencies"])
    required = metadata.get_all("Requires-Dist") or []
    assert [each for each in required if "extra ==" not in each] == project["dependencies"]


def test_source_archive(dist: Path) -> None:
    """The source archive holds every file of the repository, and no other but its metadata."""
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        held = {name.partition("/")[2] for name in packed.getnames()}
    listed = subprocess.run(
        ("git", "ls-files", "--cached", "--others", "--exclude-standard"),  # noqa: S607
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert held == {*listed.stdout.splitlines(), "PKG-INFO"}


def test_from_the_source_archive(dist: Path, wheel: Path, tmp_path: Path) -> None:
    """The source archive builds the same wheel, to the byte."""
    (archive,) = dist.glob("*.tar.gz")
    (unpacked := tmp_path / "source").mkdir()
    subprocess.run(["/bin/tar", "-xzf", archive, "-C", unpacked], check=True)
    (source,) = unpacked.iterdir()
    build_distributions(source, tmp_path, "wheel")
    (again,) = tmp_path.glob("*.whl")
    assert names(again) == names(wheel)
    assert again.read_bytes() == wheel.read_bytes()
