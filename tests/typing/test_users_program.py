"""A user's program passes mypy and pyright, both in strict mode, with the installed package."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.cluster.local_cluster import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[[Path], list[str]]

PROGRAM = Path(__file__).with_name("users_program.py")
PYRIGHT = ROOT / ".venv-pyright" / "bin" / "basedpyright"
MISTAKES = {
    'client.infer("tiny", tensors=rows)': 'client.infer("tiny", tensors=5)',
    "found.receipt.at_ms": "found.receipt.at_s",
    "top_k=3": 'top_k="3"',
}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The program in a folder of its own, where no setting of this checkout counts."""
    return Path(shutil.copy(PROGRAM, tmp_path / "program.py"))


def mypy(program: Path) -> list[str]:
    """What mypy finds wrong in a program, by its strictest settings."""
    command = (sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file=")
    done = subprocess.run(
        [*command, "--warn-unreachable", program.name],
        cwd=program.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def pyright(program: Path) -> list[str]:
    """What pyright finds wrong in a program, in strict mode."""
    if not PYRIGHT.exists():
        pytest.skip("no .venv-pyright here: make tools")
    settings = {
        "typeCheckingMode": "strict",
        "include": [program.name],
        "enableTypeIgnoreComments": False,
    }
    (program.parent / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        (PYRIGHT, "--pythonpath", sys.executable, "--outputjson"),
        cwd=program.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] == 1
    return [
        f"{each['range']['start']['line'] + 1}: {each['message']}"
        for each in found["generalDiagnostics"]
    ]


@pytest.mark.parametrize("check", [mypy, pyright])
def test_program(program: Path, check: Check) -> None:
    """The program has no error."""
    assert check(program) == []


@pytest.mark.parametrize("check", [mypy, pyright])
def test_mistakes(program: Path, check: Check) -> None:
    """Mistakes in it are found: nothing of the package is of unknown type."""
    text = program.read_text()
    for right, wrong in MISTAKES.items():
        assert text.count(right) == 1
        text = text.replace(right, wrong)
    program.write_text(text)
    assert len(check(program)) >= len(MISTAKES)
