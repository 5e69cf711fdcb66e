"""`sealflow verifier`: keys, passports, and the service that hands them out."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from sealflow.attest.verifiers import TrustedVerifier
from sealflow.owner.passport.passport import verify_passport
from tests.support.cluster.gateway import GatewayProcess

if TYPE_CHECKING:
    from tests.support.cluster.command_line import RunCommand
    from tests.support.queue.server import QueueServer


@pytest.fixture
def key(run: RunCommand, tmp_path: Path) -> tuple[str, ...]:
    """The option for a new key."""
    options = ("--key", str(tmp_path / "verifier.key"))
    assert run("verifier", "init", *options).code == 0
    return options


@pytest.mark.parametrize("curve", ["Ed25519", "P-256"])
def test_keys(run: RunCommand, tmp_path: Path, curve: str) -> None:
    """What `init` prints goes into a policy as it is; `key` prints it again."""
    options = ("--key", str(tmp_path / "k"), "--name", "hospital")
    made = run("verifier", "init", *options, "--curve", curve)
    table = tomllib.loads(made.out)["verifiers"][0]
    found = TrustedVerifier.from_json(table)
    assert (found.name, found.curve, found.instead_of_evidence) == ("hospital", curve, False)
    assert run("verifier", "key", *options).out == made.out
    said = run("verifier", "key", *options, "--json").json
    assert said == {"name": "hospital", "key": found.jwk, "key_id": found.key_id}
    again = run("verifier", "init", *options)
    assert again.code == 2
    assert "never overwritten" in again.err


def test_appraise(
    run: RunCommand,
    key: tuple[str, ...],
    reach: tuple[str, ...],
    tmp_path: Path,
) -> None:
    """A service that passes gets a passport, which says that it is a simulation."""
    out = tmp_path / "passport.jwt"
    options = (*key, *reach)
    said = run("verifier", "appraise", *options, "--out", out, "--lifetime", "600", "--json").json
    assert said["simulated"]
    verifier = TrustedVerifier.from_json(
        {name: each for name, each in run("verifier", "key", *key, "--json").json.items()
         if name != "key_id"}
    )  # fmt: skip
    found = verify_passport(out.read_text(), verifier, said["issued_ms"])
    assert found.expires_ms - found.issued_ms == 600_000
    shown = run("verifier", "appraise", *options, "--out", out)
    assert "passport of test" in shown.out
    assert "SIMULATED" in shown.err


def test_refusal(
    run: RunCommand,
    key: tuple[str, ...],
    gateway: GatewayProcess,
    reach: tuple[str, ...],
    tmp_path: Path,
) -> None:
    """A service that does not pass gets none, and the exit code says so."""
    out, other = tmp_path / "passport.jwt", tmp_path / "other.toml"
    other.write_text(
        Path(reach[-1]).read_text().replace('deployment = "test"', 'deployment = "other"')
    )
    ended = run("verifier", "appraise", *key, "--url", gateway.url, "--policy", other, "--out", out)
    assert ended.code == 3
    assert "deployment" in ended.err
    assert not out.exists()


def test_no_key(run: RunCommand, reach: tuple[str, ...], tmp_path: Path) -> None:
    """A verifier without its key does not start."""
    options = ("--key", tmp_path / "absent", *reach)
    for command in (("appraise", "--out", tmp_path / "x"), ("serve",)):
        ended = run("verifier", *command, *options)
        assert ended.code == 2
        assert "absent" in ended.err


def test_serve(key: tuple[str, ...], reach: tuple[str, ...]) -> None:
    """It says where it listens, answers with a passport, and ends on SIGTERM."""
    options = (*key, *reach, "--port", "0")
    command = (sys.executable, "-m", "sealflow.cli.main", "verifier", "serve", *options)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip()
        until = time.monotonic() + 60
        while (answer := httpx.get(url)).status_code == 503:
            assert time.monotonic() < until, answer.text
            time.sleep(0.05)
        assert answer.text.count(".") == 2
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_port_that_is_taken(
    run: RunCommand, key: tuple[str, ...], gateway: GatewayProcess, reach: tuple[str, ...]
) -> None:
    """It says so."""
    options = (*key, *reach)
    ended = run("verifier", "serve", *options, "--port", gateway.address[1])
    assert ended.code == 2
    assert f"cannot listen on 127.0.0.1:{gateway.address[1]}" in ended.err


def test_a_whole_service(
    run: RunCommand,
    key: tuple[str, ...],
    reach: tuple[str, ...],
    queue: QueueServer,
    tmp_path: Path,
) -> None:
    """A gateway publishes the passport; a client whose policy trusts the verifier takes it."""
    out, policy = tmp_path / "passport.jwt", tmp_path / "trusting.toml"
    assert run("verifier", "appraise", *key, *reach, "--out", out).code == 0
    table = run("verifier", "key", *key, "--name", "hospital").out.replace("= false", "= true")
    policy.write_text(f"{Path(reach[-1]).read_text()}\n{table}")
    with GatewayProcess(queue, passports=[str(out)]) as publishing:
        options = ("--url", publishing.url, "--policy", policy, "--json")
        until = time.monotonic() + 30
        while not (said := run("verify", *options).json)["verifiers"]:
            assert time.monotonic() < until
            time.sleep(0.1)
    assert said["verifiers"] == ["hospital"]
    assert said["evidence_checked"] is False
    assert said["simulated"] is True
    described = run("policy", "check", policy).out
    assert "verifier hospital" in described
