"""Settings of a source of collateral, and questions that it does not answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import ConfigError, MalformedError, UnavailableError
from sealflow.host.collateral.source import CollateralConfig, CollateralSource
from sealflow.host.engine.config import EngineConfig
from sealflow.host.settings import load_settings
from sealflow.trusted.identity.identity import collateral_request
from sealflow.wire.collateral_request import parse_collateral_request
from tests.support.attestation.collateral_sources import AT_S, WANT, source
from tests.support.attestation.snp_authority import snp_authority

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "changes",
    [
        {"pccs_url": "pccs.example"},
        {"pccs_url": "ftp://pccs.example"},
        {"pccs_url": "https://pccs.example:x"},
        {"pccs_url": "https://pccs.example", "ca_file": "missing.pem"},
        {"vlek_file": "missing.der"},
        {"vlek_file": "/dev/null"},
        {"cache_dir": "/dev/null/cache"},
    ],
)
def test_settings(tmp_path: Path, changes: dict[str, str]) -> None:
    """Settings that cannot work are said at once."""
    settings = {"cache_dir": str(tmp_path), **changes}
    with pytest.raises(ConfigError):
        CollateralSource(CollateralConfig(**settings))  # type: ignore[arg-type]  # by name


def test_no_servers(tmp_path: Path) -> None:
    """A question for which no server is set names the setting."""
    with pytest.raises(UnavailableError, match="set pccs_url"):
        source(tmp_path, None).get(WANT)
    with pytest.raises(UnavailableError, match="set kds_url"):
        source(tmp_path, None).get(collateral_request(snp_authority(AT_S).report()))


@pytest.mark.parametrize(
    "want",
    [
        {"tee": "sgx", "fmspc": "../../etc/ab", "ca": "platform"},
        {"tee": "sgx", "fmspc": "B0C06F000000", "ca": "platform"},
        {"tee": "sgx", "fmspc": 5, "ca": "platform"},
        {"tee": "sgx", "fmspc": "b0c06f000000", "ca": "other"},
        {"tee": "sev", "fmspc": "b0c06f000000", "ca": "platform"},
        {"tee": "sgx", "fmspc": "b0c06f000000"},
        {"tee": "snp", "product": "Rome", "leaf": "vcek", "chip_id": "", "tcb": {}},
        {"tee": "snp", "product": "", "leaf": "ark", "chip_id": "", "tcb": {}},
        {"tee": "snp", "product": "", "leaf": "vcek", "chip_id": "00", "tcb": {}},
        {"tee": "snp", "product": "", "leaf": "vcek", "chip_id": "", "tcb": {"snp": 256}},
        {"tee": "snp", "product": "", "leaf": "vcek", "chip_id": "", "tcb": {"x&y": 1}},
        {"tee": "snp", "product": "", "leaf": "vcek", "chip_id": "", "tcb": []},
    ],
)
def test_questions(want: dict[str, object]) -> None:
    """A question that would make another address than it should is refused."""
    with pytest.raises(MalformedError):
        parse_collateral_request(json.dumps(want).encode())


def test_settings_file(tmp_path: Path) -> None:
    """The table of a process's settings file is read as one."""
    path = tmp_path / "engine.toml"
    path.write_text(
        'deployment = "d"\ndeployment_file = "d.json"\npackages_dir = "p"\n'
        'broker_url = "redis://127.0.0.1:1"\n'
        '[collateral]\ncache_dir = "c"\npccs_url = "https://pccs.example:8081"\n'
    )
    found = load_settings(path, EngineConfig).collateral
    assert found == CollateralConfig(cache_dir="c", pccs_url="https://pccs.example:8081")
    path.write_text(path.read_text() + "pcs = 1\n")
    with pytest.raises(ConfigError, match="pcs"):
        load_settings(path, EngineConfig)
