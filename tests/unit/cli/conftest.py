"""The command line in this process, and a service that the test plays behind a real gateway."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.cli.main import main
from sealflow.owner.trust.policy_file import write_policy
from tests.support.cluster.gateway import RunningGateway
from tests.support.cluster.scripted_service import PlayedService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.queue.server import Server

    Run = Callable[..., "Done"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on standard output, and there is nothing else on it."""
        assert self.out.count("\n") == 1, self.out
        assert self.out.endswith("\n")
        return json.loads(self.out)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run `sealflow` with arguments."""
    logger = logging.getLogger("sealflow.owner.simulation")
    level = logger.level

    def call(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["sealflow", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
            raise SystemExit(0)
        out, err = capsys.readouterr()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return Done(code=code or 0, out=out, err=err)

    yield call
    logger.setLevel(level)


@pytest.fixture(scope="module")
def played(queue: Server) -> Iterator[PlayedService]:
    """A service with the model m, which takes images."""
    running = PlayedService(queue)
    running.publish(running.published.with_image_model())
    yield running
    running.close()


@pytest.fixture(scope="module")
def gateway(queue: Server, played: PlayedService) -> Iterator[RunningGateway]:
    """A gateway on the queue, which sees the directory from its start."""
    with RunningGateway(queue, packages_dir=str(queue.folder / "packages")) as running:
        yield running


@pytest.fixture
def reach(tmp_path: Path, gateway: RunningGateway, played: PlayedService) -> tuple[str, ...]:
    """The options that find the service."""
    policy = tmp_path / "client.toml"
    write_policy(policy, played.published.policy)
    return ("--url", gateway.url, "--policy", str(policy))


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    """Some files; what is in them is the worker's affair."""
    paths = [tmp_path / f"{number}.jpg" for number in range(3)]
    for path in paths:
        path.write_bytes(path.name.encode())
    return [str(path) for path in paths]
