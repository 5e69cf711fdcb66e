"""The walk of the guide: an example served by a wheel, and asked by one."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.hosts.python_environments import Environment
    from tests.wheel.conftest import Make

pytestmark = pytest.mark.e2e

SERVED = re.compile(r"^Served 50 images in [\d.]+ sec, e2e throughput is ", re.MULTILINE)


def ask(client: Environment, example: Path, cwd: Path, reach: tuple[str, ...] = ()) -> None:
    """Verify a service, classify the example's photos, and benchmark it."""
    (verified,) = client.run("verify", "--json", *reach, cwd=cwd).json
    assert verified["simulated"] is True
    photos = sorted((example / "photos").glob("*.jpg"))
    answers = client.run("infer", "--json", *reach, *map(str, photos), cwd=cwd).json
    top: dict[str, Any] = {each["image"].rpartition("/")[2]: each["top"][0] for each in answers}
    expected = json.loads((example / "photos" / "expected.json").read_text())
    assert expected
    for name, label in expected.items():
        assert (top[name]["index"], top[name]["label"]) == (label["index"], label["label"])
    bench = client.run("bench", "-n", "50", "-i", str(example / "photos"), *reach, cwd=cwd)
    assert bench.code == 0, bench.err
    assert SERVED.search(bench.out)


def test_all(make: Make, place: Path) -> None:
    """With `all`, the commands that `sealflow example` prints serve it and ask it."""
    environment = make("all")
    (said,) = environment.run("example", "classifier", "ex", "--json", cwd=place).json
    assert said["commands"][0] == "sealflow up --model ex/model"
    with environment.up(place, "--model", "ex/model"):
        ask(environment, place / "ex", place)
        plot = ("-n", "3", "-i", "ex/photos", "--plot", "bench.png")
        assert environment.run("bench", *plot, cwd=place).code == 0
        assert (place / "bench.png").read_bytes().startswith(b"\x89PNG")


def test_server_and_client(make: Make, place: Path) -> None:
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
        ask(client, there / "ex", here, reach)
        plot = client.run("bench", "-i", "../there/ex/photos", "--plot", "p.png", *reach, cwd=here)
        assert plot.refusal == "matplotlib is not installed: run pip install 'sealflow[plot]'"
