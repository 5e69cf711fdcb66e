"""What holds for every command: help, `--json`, wrong usage, a start that loads little."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest

from sealflow.cli.main import COMMANDS, EXIT_CODES, cli
from sealflow.errors import ConfigError, SealflowError
from tests.support.cluster.local_cluster import sealflow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.cluster.command_line import RunCommand


def leaves(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """All commands that do something, by their words."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from leaves(found, *path, name)
    else:
        yield path, command


ALL = dict(leaves(cli))


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_command(run: RunCommand, words: tuple[str, ...]) -> None:
    """Every command explains itself and all its options, and speaks JSON."""
    command = ALL[words]
    shown = run(*words, "--help")
    assert shown.code == 0
    assert f"Usage: sealflow {' '.join(words)}" in shown.out
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.opts[0] in shown.out
    assert any("--json" in parameter.opts for parameter in command.params)


def test_commands_are_listed(run: RunCommand) -> None:
    """The first help lists every command in a line."""
    shown = run("--help").out
    for name, (_, text) in COMMANDS.items():
        assert name in shown
        assert text[:40] in shown


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("infr",), "No such command 'infr'"),
        (("infer",), "Missing argument 'IMAGES...'"),
        (("bench", "-n", "0"), "0 is not in the range x>=1"),
        (("model", "inspect", "absent.sealed"), "absent.sealed"),
        (("revoke", "cow", "x"), "'cow' is not one of"),
    ],
)
def test_wrong_usage(run: RunCommand, words: tuple[str, ...], says: str) -> None:
    """Wrong usage exits with 2, says what is wrong, and how to get help."""
    done = run(*words)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert "--help" in done.err or "-h" in done.err


def test_every_error_has_an_exit_code() -> None:
    """Each branch of the tree of errors ends a command with a code of its own."""
    kinds = [kind for kind, _ in EXIT_CODES]
    assert kinds[-1] is SealflowError
    assert len({code for _, code in EXIT_CODES}) == len(EXIT_CODES)
    for kind in kinds[:-1]:
        assert issubclass(kind, SealflowError)


def test_an_error(run: RunCommand, tmp_path: Path) -> None:
    """An error is two lines for people: what is wrong, and the next step."""
    done = run("policy", "check", tmp_path / "absent.toml")
    assert (done.code, done.out) == (2, "")
    said, hint = done.err.splitlines()
    assert said.startswith(f"error: there is no policy at {tmp_path}/absent.toml")
    assert hint == f"hint: {ConfigError.hint}"


def test_an_error_as_json(run: RunCommand, tmp_path: Path) -> None:
    """With `--json`, the same is one object for programs, with the error's code."""
    done = run("policy", "check", tmp_path / "absent.toml", "--json")
    assert done.code == 2
    assert done.json.keys() == {"code", "error", "hint"}
    assert (done.json["code"], done.json["hint"]) == ("config", ConfigError.hint)


def test_a_missing_library(tmp_path: Path) -> None:
    """A command whose library is missing says what to run, and what to run after that."""
    program = (
        "import sys; sys.modules['tomli_w'] = None; from sealflow.cli.main import main; "
        "sys.argv[1:] = ['policy', 'check', 'client.toml']; main()"
    )
    done = subprocess.run(
        (sys.executable, "-c", program), capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    said, hint = done.stderr.splitlines()
    assert said == "error: tomli_w is not installed: run pip install 'sealflow[client]'"
    assert hint.startswith("hint: Run that in a shell, then this command again")


def test_a_quick_start() -> None:
    """Help and wrong usage load neither numpy, nor an HTTP client, nor cryptography, nor rich."""
    program = (
        "import sys; from sealflow.cli.main import cli; cli(['--help'], standalone_mode=False); "
        "print(sorted({'numpy', 'urllib3', 'aiohttp', 'cryptography', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run(
        (sys.executable, "-c", program), capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("[]\n")


def test_a_pipe_that_nobody_reads() -> None:
    """A reader that leaves early, such as head, ends a command without a traceback."""
    command = subprocess.Popen(
        sealflow("--help"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert command.stdout is not None
    command.stdout.close()
    assert command.stderr is not None
    with command.stderr as errors:
        assert "Traceback" not in errors.read()
    assert command.wait(30) in (0, 1)
