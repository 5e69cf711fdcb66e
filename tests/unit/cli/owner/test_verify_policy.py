"""`sealflow policy check`: a policy file in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from click.testing import CliRunner

from sealflow.cli.owner.verify import policy as command
from sealflow.errors import ConfigError
from tests.support.attestation.policy_files import SGX, SIMULATED, written

if TYPE_CHECKING:
    from pathlib import Path


def test_command(tmp_path: Path) -> None:
    """`sealflow policy check` prints the words, and one JSON object for machines."""
    path = written(tmp_path, SIMULATED)
    shown = CliRunner().invoke(command, ["check", str(path)])
    assert shown.exit_code == 0
    assert "SIMULATED TEE" in shown.output
    assert "1 of these weaken the protection." in shown.output
    strict = CliRunner().invoke(command, ["check", str(written(tmp_path, SGX))])
    assert "weaken" not in strict.output
    found = json.loads(CliRunner().invoke(command, ["check", "--json", str(path)]).output)
    assert found["simulated"] is False
    assert len(found["policy_digest"]) == 64
    assert {"about": "deployment", "text": "prod", "weakens": False} in found["lines"]
    broken = CliRunner().invoke(command, ["check", str(tmp_path / "none.toml")])
    assert isinstance(broken.exception, ConfigError)
