"""`sealflow init`, which makes the files of `sealflow up` alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from click.testing import CliRunner

from sealflow.attest.deployment import Deployment
from sealflow.cli.main import cli
from sealflow.local.home import ClusterHome
from sealflow.owner import Tee

if TYPE_CHECKING:
    from pathlib import Path


def test_what_it_makes(tmp_path: Path) -> None:
    """Settings for the named deployment, and private keys that stay when it is run again."""
    home = ClusterHome(tmp_path / "trial")
    words = ["init", str(home.path), "--deployment=red"]
    assert "SIMULATED TEE" in CliRunner().invoke(cli, words).output
    keys = [path.read_bytes() for path in (home.owner_key, home.platform)]
    told = json.loads(CliRunner().invoke(cli, [*words, "--json"]).output)
    assert told["simulated"] is True
    assert told["settings of the enclaves"] == str(home.deployment)
    assert [path.read_bytes() for path in (home.owner_key, home.platform)] == keys
    deployment = Deployment.from_bytes(home.deployment.read_bytes())
    assert (deployment.name, deployment.tee) == ("red", Tee.SIMULATED)
    assert home.owner_key.stat().st_mode & 0o077 == 0


def test_old_name(tmp_path: Path) -> None:
    """`sealflow trial` still makes the files, but `--help` no longer shows it."""
    assert CliRunner().invoke(cli, ["trial", str(tmp_path / "files")]).exit_code == 0
    assert ClusterHome(tmp_path / "files").deployment.exists()
    assert "trial " not in CliRunner().invoke(cli, ["--help"]).output
