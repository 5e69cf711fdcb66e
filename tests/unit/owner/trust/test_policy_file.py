"""Policy files: what is read, as it was written, or is said not to be there."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import ConfigError
from sealflow.owner import Policy, SimulationPolicy, SuiteName, TcbStatus, Tee
from sealflow.owner.trust.policy_file import load_policy, load_policy_file, write_policy
from tests.support.attestation.policy_files import (
    SGX,
    SIMULATED,
    SNP,
    TDX,
    policies,
    write_policy_file,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("number", range(5))
def test_round_trip(tmp_path: Path, number: int) -> None:
    """A policy is read as it was written, whatever it demands."""
    policy = policies()[number]
    path = tmp_path / "policy.toml"
    write_policy(path, policy)
    found = load_policy(path)
    assert found == policy
    assert load_policy(policy) is policy


@pytest.mark.parametrize(("text", "tee"), [(SGX, Tee.SGX), (TDX, Tee.TDX), (SNP, Tee.SNP)])
def test_short(tmp_path: Path, text: str, tee: Tee) -> None:
    """A file says as little as this; the rest is strict."""
    policy = load_policy(write_policy_file(tmp_path, text))
    assert isinstance(policy, Policy)
    assert policy.tee is tee
    wanted = policy.requirements
    assert wanted.tcb_statuses == {TcbStatus.UP_TO_DATE}
    assert not wanted.advisories
    assert not wanted.platform_flags
    assert not wanted.insecure_signer_only
    assert not policy.models


def test_simulated(tmp_path: Path) -> None:
    """A simulation's policy is of a class of its own."""
    found = load_policy_file(write_policy_file(tmp_path, SIMULATED))
    assert isinstance(found.keybroker, SimulationPolicy)
    assert found.simulated
    assert not load_policy_file(write_policy_file(tmp_path, SGX)).simulated


def test_workers(tmp_path: Path) -> None:
    """An owner's file says what workers must prove too."""
    worker = f'[worker]\nmeasurements = ["{"44" * 32}"]\n'
    found = load_policy_file(write_policy_file(tmp_path, SGX + worker))
    assert found.worker is not None
    assert found.worker.measurements == {"44" * 32}
    with pytest.raises(ConfigError, match="64 hex digits"):
        load_policy_file(write_policy_file(tmp_path, SGX + worker.replace("44" * 32, "44" * 48)))


def test_suites(tmp_path: Path) -> None:
    """A file may name the suites to seal by, and is read as it was written."""
    assert load_policy(write_policy_file(tmp_path, SGX)).suites == tuple(SuiteName)
    named = SGX.replace("[keybroker]", 'suites = ["x-wing"]\n[keybroker]')
    found = load_policy(write_policy_file(tmp_path, named))
    assert found.suites == (SuiteName.X_WING,)
    write_policy(tmp_path / "again.toml", found)
    assert load_policy(tmp_path / "again.toml") == found


@pytest.mark.parametrize(
    "text", [b"\xff", b"a = ", b"a = " + b"[" * 20_000, b"#" * 70_000, b"x = 1\nx = 2"]
)
def test_no_toml(tmp_path: Path, text: bytes) -> None:
    """What is no TOML, or far too long, is said."""
    with pytest.raises(ConfigError, match=r"policy\.toml"):
        load_policy(write_policy_file(tmp_path, text))


def test_no_file(tmp_path: Path) -> None:
    """A missing file, a folder and an unwritable place are said."""
    with pytest.raises(ConfigError, match="get it from the owner"):
        load_policy(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="directory"):
        load_policy(tmp_path)
    with pytest.raises(ConfigError, match="cannot write"):
        write_policy(tmp_path / "none" / "policy.toml", policies()[0])


def test_json(tmp_path: Path) -> None:
    """A policy in JSON is the same policy as in TOML; another format asks for a newer release."""
    toml, text = write_policy_file(tmp_path, TDX), tmp_path / "client.json"
    table = tomllib.loads(TDX)
    text.write_text(" " + json.dumps({"format": 1, **table}), encoding="utf-8")
    assert load_policy(text) == load_policy(toml)
    text.write_text(json.dumps({"format": 2, **table}), encoding="utf-8")
    with pytest.raises(ConfigError, match="format 2 is not 1"):
        load_policy(text)
    text.write_text('{"tee": "sgx", "tee": "snp"}', encoding="utf-8")
    with pytest.raises(ConfigError, match="policy: not strict JSON"):
        load_policy(text)
