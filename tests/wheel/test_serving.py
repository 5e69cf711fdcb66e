"""The walk of the guide: an example served by a wheel, and asked by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.wheel.service_checks import check_service

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.hosts.python_environments import MakeEnvironment

pytestmark = pytest.mark.e2e


def test_all(make: MakeEnvironment, place: Path) -> None:
    """With `all`, the commands that `sealflow example` prints serve it and ask it."""
    environment = make("all")
    (said,) = environment.run("example", "classifier", "ex", "--json", cwd=place).json
    assert said["commands"][0] == "sealflow up --model ex/model"
    with environment.up(place, "--model", "ex/model"):
        check_service(environment, place / "ex", place)
        plot = ("-n", "3", "-i", "ex/photos", "--plot", "bench.png")
        assert environment.run("bench", *plot, cwd=place).code == 0
        assert (place / "bench.png").read_bytes().startswith(b"\x89PNG")


def test_server_and_client(make: MakeEnvironment, place: Path) -> None:
    """What `server` alone serves, `client` alone verifies, asks and benchmarks by the gateway."""
    server, client = make("server"), make("client")
    there, here = place / "there", place / "here"
    there.mkdir()
    here.mkdir()
    server.run("example", "classifier", "ex", cwd=there)
    with server.up(there, "--model", "ex/model", "--runtime", "openvino") as facts:
        policy = here / "client.toml"
        policy.write_bytes((there / facts["policy"]).read_bytes())
        reach = ("--url", facts["url"], "--policy", str(policy))
        check_service(client, there / "ex", here, reach)
        plot = client.run("bench", "-i", "../there/ex/photos", "--plot", "p.png", *reach, cwd=here)
        assert plot.refusal == "matplotlib is not installed: run pip install 'sealflow[plot]'"
