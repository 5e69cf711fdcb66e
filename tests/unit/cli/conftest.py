"""The command line in this process, and a service that the test plays behind a real gateway."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import pytest

from sealflow.cli.main import main
from sealflow.owner.trust.policy_file import write_policy
from tests.support.cluster.command_line import CommandResult
from tests.support.cluster.gateway import GatewayProcess
from tests.support.cluster.scripted_service import ScriptedService

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.cluster.command_line import RunCommand
    from tests.support.queue.server import QueueServer


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[RunCommand]:
    """Run `sealflow` with arguments."""
    logger = logging.getLogger("sealflow.owner.simulation")
    level = logger.level

    def call(*arguments: object) -> CommandResult:
        monkeypatch.setattr(sys, "argv", ["sealflow", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
            raise SystemExit(0)
        out, err = capsys.readouterr()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return CommandResult(code=code or 0, out=out, err=err)

    yield call
    logger.setLevel(level)


@pytest.fixture(scope="module")
def scripted(queue: QueueServer) -> Iterator[ScriptedService]:
    """A service with the model m, which takes images."""
    running = ScriptedService(queue)
    running.publish(running.published.with_image_model())
    yield running
    running.close()


@pytest.fixture(scope="module")
def gateway(queue: QueueServer, scripted: ScriptedService) -> Iterator[GatewayProcess]:
    """A gateway on the queue, which sees the directory from its start."""
    with GatewayProcess(queue, packages_dir=str(queue.folder / "packages")) as running:
        yield running


@pytest.fixture
def reach(tmp_path: Path, gateway: GatewayProcess, scripted: ScriptedService) -> tuple[str, ...]:
    """The options that find the service."""
    policy = tmp_path / "client.toml"
    write_policy(policy, scripted.published.policy)
    return ("--url", gateway.url, "--policy", str(policy))


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    """Some files; what is in them is the worker's affair."""
    paths = [tmp_path / f"{number}.jpg" for number in range(3)]
    for path in paths:
        path.write_bytes(path.name.encode())
    return [str(path) for path in paths]
