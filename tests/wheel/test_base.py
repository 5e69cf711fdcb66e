"""`pip install sealflow` without an extra: help, examples, chart, and which extra does the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.chart.rendering import run_helm
from tests.support.hosts.python_environments import ROOT

if TYPE_CHECKING:
    from tests.support.hosts.python_environments import MakeEnvironment


def test_help(make: MakeEnvironment, place: Path) -> None:
    """The command line explains itself."""
    done = make("").run("--help", cwd=place)
    assert (done.code, done.err) == (0, "")
    assert "example" in done.out


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (("up",), "server"),
        (("doctor",), "server"),
        (("flink", "status"), "server"),
        (("verify",), "client"),
        (("infer", "cow.jpg"), "client"),
        (("bench", "-i", "."), "client"),
        (("status",), "client"),
        (("keys", "make", "keys"), "client"),
        (("init", "trial"), "client"),
    ],
    ids=" ".join,
)
def test_commands_that_need_an_extra(
    make: MakeEnvironment, place: Path, words: tuple[str, ...], extra: str
) -> None:
    """A command without its libraries says in one sentence which extra to install."""
    refusal = make("").run(*words, cwd=place).refusal
    assert refusal.endswith(f" is not installed: run pip install 'sealflow[{extra}]'")


def test_the_sdk(make: MakeEnvironment, place: Path) -> None:
    """A program that imports a client without its libraries reads the same sentence."""
    program = "import sealflow.owner\nfrom sealflow.owner import Client"
    done = make("").python("-c", program, cwd=place)
    assert done.code == 1
    last = done.err.splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert last.endswith(" is not installed: run pip install 'sealflow[client]'")


def test_a_module_of_nobodys(make: MakeEnvironment, place: Path) -> None:
    """A module that no extra has is a fault of Sealflow, and is said to be one."""
    program = (
        "from sealflow.cli import main\n"
        "main.COMMANDS['cow'] = ('sealflow.cli.cow', 'Moo.')\n"
        "import sys; sys.argv = ['sealflow', 'cow']\n"
        "main.main()"
    )
    done = make("").python("-c", program, cwd=place)
    assert done.code == 70
    assert "ModuleNotFoundError" in done.err.splitlines()[-2]


def test_the_chart(make: MakeEnvironment, place: Path) -> None:
    """`sealflow chart` writes the chart that the repository has."""
    (said,) = make("").run("chart", "chart", "--json", cwd=place).json
    chart = ROOT / "deploy" / "chart"
    files = {str(path.relative_to(chart)) for path in chart.rglob("*") if path.is_file()}
    assert {str(Path(name).relative_to("chart")) for name in said["files"]} == files
    assert all(
        (place / "chart" / name).read_bytes() == (chart / name).read_bytes() for name in files
    )


def test_the_chart_renders(make: MakeEnvironment, place: Path) -> None:
    """Helm finds nothing wrong with the written chart, and renders it with the trial's settings."""
    make("").run("chart", "chart", cwd=place)
    make("client").run("init", "trial", cwd=place)
    settings = ("--set-file", f"deployment.settings={place}/trial/deployment.json")
    values = ("-f", str(place / "chart" / "values-nonsgx.yaml"))
    run_helm("lint", str(place / "chart"), folder=place)
    shown = run_helm("template", "demo", str(place / "chart"), *values, *settings, folder=place)
    assert "kind: Deployment" in shown


def test_modules_run_isolated(make: MakeEnvironment, place: Path) -> None:
    """The command line also runs as a module, in Python's isolated mode."""
    done = make("").python("-m", "sealflow.cli.main", "example", "list", "--json", cwd=place)
    assert set(json.loads(done.out)) == {"classifier", "tiny"}
