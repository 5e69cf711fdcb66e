"""`sealflow policy check`: a policy file in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from click.testing import CliRunner

from sealflow.cli.owner.verify import policy as command
from sealflow.errors import ConfigError
from sealflow.owner import Role
from sealflow.owner.trust.policy_file import write_policy
from tests.support.attestation.policy_files import SGX, SIMULATED, write_policy_file
from tests.support.trusted.keybroker import keybroker_deployment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cluster.command_line import RunCommand


def test_command(tmp_path: Path) -> None:
    """`sealflow policy check` prints the words, and one JSON object for machines."""
    path = write_policy_file(tmp_path, SIMULATED)
    shown = CliRunner().invoke(command, ["check", str(path)])
    assert shown.exit_code == 0
    assert "SIMULATED TEE" in shown.output
    assert "1 of these settings weaken the protection." in shown.output
    strict = CliRunner().invoke(command, ["check", str(write_policy_file(tmp_path, SGX))])
    assert "weaken" not in strict.output
    found = json.loads(CliRunner().invoke(command, ["check", "--json", str(path)]).output)
    assert found["simulated"] is False
    assert len(found["policy_digest"]) == 64
    assert {"about": "deployment", "text": "prod", "weakens": False} in found["lines"]
    broken = CliRunner().invoke(command, ["check", str(tmp_path / "none.toml")])
    assert isinstance(broken.exception, ConfigError)


def test_simulation(run: RunCommand, tmp_path: Path) -> None:
    """A policy for a simulation weakens the protection; a file that cannot be read is named."""
    path = tmp_path / "client.toml"
    write_policy(path, keybroker_deployment().deployment.policy(Role.KEY_BROKER))
    said = run("policy", "check", path, "--json").json
    assert said["simulated"]
    assert any(line["weakens"] for line in said["lines"])
    (tmp_path / "bad.toml").write_text("tee = [")
    bad = run("policy", "check", tmp_path / "bad.toml")
    assert (bad.code, "bad.toml" in bad.err) == (2, True)
