"""`sealflow example` and `sealflow chart`: what they write, and what a failure leaves behind."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import sealflow
from tests.support.cluster.local_cluster import LITE0, PHOTOS, ROOT, TINY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cluster.command_line import RunCommand

CHART = ROOT / "deploy" / "chart"
MIB = 2**20


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder, by their paths below it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@contextmanager
def small_files() -> Iterator[None]:
    """Let this process write no file over 1 MiB, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_classifier(run: RunCommand, tmp_path: Path) -> None:
    """The classifier's model and photos are those of the repository, and the next steps follow."""
    folder = tmp_path / "new" / "it's here"
    shown = run("example", "classifier", folder)
    assert shown.code == 0
    assert contents(folder / "model") == contents(LITE0)
    assert contents(folder / "photos") == contents(PHOTOS)
    quoted = str(folder).replace("'", "'\"'\"'")
    for command in ("up --model '{}/model'", "infer '{}/photos'/*.jpg", "bench -n 1000 -i '{}/pho"):
        assert f"sealflow {command.format(quoted)}" in shown.out


def test_tiny(run: RunCommand, tmp_path: Path) -> None:
    """The tiny model comes without the program that made it."""
    said = run("example", "tiny", tmp_path, "--json").json
    files = contents(TINY)
    del files["make.py"]
    assert contents(tmp_path) == {f"model/{name}": content for name, content in files.items()}
    assert sorted(said["files"]) == sorted(str(tmp_path / "model" / name) for name in files)


def test_list(run: RunCommand) -> None:
    """The list names each example that can be written, and nothing else."""
    assert set(run("example", "list", "--json").json) == {"classifier", "tiny"}
    assert len(run("example", "list").out.splitlines()) == 2


def test_chart(run: RunCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chart is the repository's, also when it is written into the working directory."""
    monkeypatch.chdir(tmp_path)
    shown = run("chart", ".")
    assert shown.code == 0
    assert contents(tmp_path) == contents(CHART)
    assert "helm -n serving install demo . " in shown.out


@pytest.mark.parametrize("words", [("chart",), ("example", "classifier"), ("example", "tiny")])
def test_a_folder_that_is_not_empty(
    run: RunCommand, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """A folder with anything in it is refused, and stays as it was."""
    (tmp_path / "mine").write_text("x")
    done = run(*words, tmp_path)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: {tmp_path} is not empty: name a new or an empty folder\n")
    assert contents(tmp_path) == {"mine": b"x"}


def test_a_full_disk(run: RunCommand, tmp_path: Path) -> None:
    """A copy that breaks off is said in one sentence, and takes with it every folder it made."""
    folder = tmp_path / "a" / "b"
    with small_files():
        done = run("example", "classifier", folder)
    assert done.code == 2
    assert done.err.startswith(f"error: {folder}: cannot write: File too large\n")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_with_a_folder(run: RunCommand, tmp_path: Path) -> None:
    """A folder that was there before stays, empty as it was."""
    with small_files():
        assert run("example", "classifier", tmp_path).code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(run: RunCommand, tmp_path: Path) -> None:
    """A path through a file is said in one sentence."""
    (tmp_path / "file").touch()
    done = run("chart", tmp_path / "file" / "chart")
    assert done.code == 2
    assert done.err.startswith(f"error: {tmp_path}/file/chart: cannot write: Not a directory\n")


def test_code_alone(tmp_path: Path) -> None:
    """Code that was copied without the wheel's other files says that it does not carry them."""
    source, packages = Path(sealflow.__file__).parent, tmp_path / "lib" / "packages"
    shutil.copytree(source, packages / "sealflow", ignore=shutil.ignore_patterns("__pycache__"))
    program = f"import sys; sys.path.insert(0, {str(packages)!r}); sys.dont_write_bytecode = True\n"
    program += "from sealflow.cli.main import main; sys.argv[1:] = ['chart', 'x']; main()"
    done = subprocess.run(
        (sys.executable, "-c", program), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "this installation carries no deploy/chart" in done.stderr
