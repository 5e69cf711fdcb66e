"""The extra `flink` alone: the operators import and serve, and nothing there opens a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.wheel.service_checks import check_service

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.hosts.python_environments import MakeEnvironment

OPENERS = (
    "sealflow.seal.exchange",
    "sealflow.trusted.worker.__main__",
    "sealflow.owner.client.client",
)


def test_operators(make: MakeEnvironment, python_of_flink: str, place: Path) -> None:
    """The job's module and the program that submits it import."""
    program = "import sealflow.host.engine.flink.submit"
    done = make("flink", python_of_flink).python("-c", program, cwd=place)
    assert (done.code, done.err) == (0, "")


def test_nothing_opens_messages(make: MakeEnvironment, python_of_flink: str, place: Path) -> None:
    """What opens or makes sealed messages cannot be imported: its cryptography is not there."""
    flink = make("flink", python_of_flink)
    for module in OPENERS:
        done = flink.python("-c", f"import {module}", cwd=place)
        assert done.err.splitlines()[-1] == "ModuleNotFoundError: No module named 'cryptography'"


def test_an_environment_of_its_own(
    make: MakeEnvironment, python_of_flink: str, place: Path
) -> None:
    """A command that needs more says that it belongs into another environment than Flink's."""
    refusal = make("flink", python_of_flink).run("verify", cwd=place).refusal
    assert refusal.endswith("sealflow-env/bin/pip install 'sealflow[client]'")


def test_no_flink(make: MakeEnvironment, place: Path) -> None:
    """Without Flink's environment, `up --engine flink` says how to make one."""
    done = make("server").run("up", "--engine", "flink", "--port", "0", cwd=place)
    assert done.code == 2
    (reason,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert "FOLDER/bin/pip install 'sealflow[flink]'" in reason


@pytest.mark.e2e
def test_up(make: MakeEnvironment, python_of_flink: str, place: Path) -> None:
    """`sealflow up --engine flink` serves with Flink's environment beside the server's."""
    server, flink = make("server"), make("flink", python_of_flink)
    server.run("example", "classifier", "ex", cwd=place)
    options = ("--flink-venv", str(flink.folder), "--taskmanagers", "1", "--flink-ui-port", "0")
    with server.up(place, "--model", "ex/model", "--engine", "flink", *options) as facts:
        assert facts["flink"]["url"].startswith("https://")
        check_service(make("client"), place / "ex", place)
