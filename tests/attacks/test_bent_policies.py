"""Attacks by whoever writes policies: they contradict themselves, or would accept anything."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.attest.deployment import MAX_DEPLOYMENT_BYTES, Deployment
from sealflow.attest.evidence import Role, Tee
from sealflow.attest.policy import Approval, Policy
from sealflow.attest.requirements import Requirements
from sealflow.errors import ConfigError, MalformedError
from sealflow.owner import load_policy
from sealflow.owner.trust.policy_file import MAX_POLICY_BYTES, parse_policy
from sealflow.wire.fields import Fields
from tests.support.attestation.deployments import simulated_deployment
from tests.support.attestation.policy_files import SGX, write_policy_file

if TYPE_CHECKING:
    from pathlib import Path

DEPLOYMENT = simulated_deployment(1).deployment
CODE = {"measurements": ["11" * 32]}
SIGNED = {"signers": ["22" * 32], "product_id": 1, "min_svn": 1, "insecure_signer_only": True}
REGISTERS = {name: ["33" * 48] for name in ("rtmr0", "rtmr1", "rtmr2")}
TDX = {"measurements": ["33" * 48], "tdx": REGISTERS}
SNP = {"measurements": ["44" * 48], "snp": {}}

REQUIREMENTS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (CODE, {"measurements": []}, "measurements is empty"),
    (CODE, {"measurements": ["11" * 31]}, "64 or 96"),
    (CODE, {"measurements": ["AA" * 32]}, "64 or 96"),
    (CODE, {"tcb_statuses": ["OutOfDate"]}, "insecure_out_of_date"),
    (CODE, {"tcb_statuses": ["Fine"]}, "not one of"),
    (CODE, {"advisories": ["CVE-1"]}, "INTEL-SA"),
    (CODE, {"min_svn": 65_536}, "0 to 65535"),
    (CODE, {"insecure_out_of_date": {"until": "2027-01-31", "reason": ""}}, "1 to 200"),
    (CODE, {"insecure_out_of_date": {"until": "2027-01-31", "reason": "r" * 201}}, "1 to 200"),
    (CODE, {"insecure_out_of_date": {"until": "soon", "reason": "r"}}, "not a date"),
    (SIGNED, {"measurements": ["11" * 32]}, "excludes measurements"),
    (SIGNED, {"signers": []}, "requires signers"),
    (SIGNED, {"min_svn": 0}, "requires signers, product_id and min_svn"),
    ({key: value for key, value in SIGNED.items() if key != "product_id"}, {}, "requires signers"),
    (TDX, {"tdx": REGISTERS | {"rtmr1": []}}, "rtmr1 is empty"),
    (TDX, {"tdx": REGISTERS | {"insecure_unchecked_registers": ["rtmr9"]}}, "not one of"),
]

UNFIT: list[tuple[dict[str, Any], Tee, str]] = [
    (TDX, Tee.SGX, "64 hex digits"),
    (CODE, Tee.TDX, "96 hex digits"),
    ({"measurements": ["33" * 48]}, Tee.TDX, "requires a table tdx"),
    ({"measurements": ["44" * 48]}, Tee.SNP, "requires a table snp"),
    (CODE | {"tdx": REGISTERS}, Tee.SGX, "excludes a table tdx"),
    (CODE | {"snp": {}}, Tee.SGX, "excludes a table snp"),
    (TDX | {"product_id": 1}, Tee.TDX, "sgx only"),
    (
        {"snp": {}} | SIGNED | {"signers": ["22" * 48]},
        Tee.SNP,
        "sgx only",
    ),
]

DEPLOYMENTS: list[tuple[dict[str, Any], str]] = [
    ({"epoch_s": 0}, "epoch_s is 0"),
    ({"epoch_s": 10**9}, "epoch_s is 1000000000"),
    ({"grace_s": 899}, "grace_s is shorter"),
    ({"epoch_s": 299, "lease_s": 299, "directory_s": 299}, "clock_skew_s is longer"),
    ({"lease_s": 7201}, "lease_s is longer"),
    ({"directory_s": 3601}, "directory_s is longer"),
    ({"insecure_simulated_root": None}, "insecure_simulated_root is required"),
    ({"tee": Tee.SGX}, "insecure_simulated_root is required"),
]

POLICIES: list[tuple[dict[str, Any], str]] = [
    ({"other": 1}, "unknown 'other'"),
    ({"tee": "sev"}, "tee is not one of"),
    ({"tee": "simulated"}, "insecure_simulated_root is required"),
    ({"insecure_simulated_root": "AA=="}, "insecure_simulated_root is required"),
    ({"worker": TDX}, "64 hex digits"),
    ({"models": []}, "models is not a table"),
    ({"models": {"m": "00" * 32}}, "not a list of 1 to 256 package digests"),
    ({"models": {"m": []}}, "not a list of 1 to 256 package digests"),
]
POLICY = {
    "tee": "sgx",
    "deployment": "d",
    "manifest_digest": "00" * 32,
    "keybroker": CODE,
    "worker": CODE,
    "models": {"m": ["00" * 32]},
}


@pytest.mark.parametrize(("good", "change", "error"), REQUIREMENTS)
def test_requirements(good: dict[str, Any], change: dict[str, Any], error: str) -> None:
    """Requirements that no enclave meets, or that any would, are refused by the key's name."""
    if change:
        Requirements.from_json(good, "policy")
    with pytest.raises(MalformedError, match=error):
        Requirements.from_json(good | change, "policy")


@pytest.mark.parametrize(("table", "tee", "error"), UNFIT)
def test_requirements_of_other_hardware(table: dict[str, Any], tee: Tee, error: str) -> None:
    """Requirements that do not apply to the hardware would not be checked, so they are refused."""
    Requirements.from_json(CODE, "policy").require_fit(Tee.SGX)
    Requirements.from_json(TDX, "policy").require_fit(Tee.TDX)
    Requirements.from_json(SNP, "policy").require_fit(Tee.SNP)
    with pytest.raises(MalformedError, match=error):
        Requirements.from_json(table, "policy").require_fit(tee)


@pytest.mark.parametrize(("change", "error"), DEPLOYMENTS)
def test_deployments(change: dict[str, Any], error: str) -> None:
    """Settings by which keys would be lost, or outlive their time, are refused."""
    with pytest.raises(MalformedError, match=error):
        replace(DEPLOYMENT, **change)


def test_texts_of_deployments() -> None:
    """Settings have one text, of bounded size, and their requirements are of their hardware."""
    text = DEPLOYMENT.to_bytes()
    assert Deployment.from_bytes(text) == DEPLOYMENT
    with pytest.raises(MalformedError, match="not in canonical form"):
        Deployment.from_bytes(text + b" ")
    with pytest.raises(MalformedError, match=f"over {MAX_DEPLOYMENT_BYTES} bytes"):
        Deployment.from_bytes(text + b" " * MAX_DEPLOYMENT_BYTES)
    tdx = Requirements.from_json(TDX, "policy")
    for role in ("keybroker", "worker"):
        change: dict[str, Any] = {role: tdx, "tee": Tee.SGX, "insecure_simulated_root": None}
        with pytest.raises(MalformedError, match="64 hex digits"):
            replace(DEPLOYMENT, **change)


@pytest.mark.parametrize(("change", "error"), POLICIES)
def test_policies(change: dict[str, Any], error: str) -> None:
    """A policy file with one fault is refused by the key's name."""
    parse_policy(dict(POLICY))
    with pytest.raises(MalformedError, match=error):
        parse_policy(POLICY | change)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (SGX + "#" * MAX_POLICY_BYTES, "is over"),
        ("tee =", "is not TOML"),
        (b"\xff", "is not TOML"),
        (SGX.replace("sgx", "sev"), "tee is not one of"),
    ],
)
def test_policy_files(tmp_path: Path, text: str | bytes, error: str) -> None:
    """A client reads its policy whole or not at all."""
    load_policy(write_policy_file(tmp_path, SGX))
    with pytest.raises(ConfigError, match=error):
        load_policy(write_policy_file(tmp_path, text))
    with pytest.raises(ConfigError, match="there is no policy"):
        load_policy(tmp_path / "other.toml")
    with pytest.raises(ConfigError, match="directory"):
        load_policy(tmp_path)


def test_made_policies() -> None:
    """No policy of hardware accepts a simulation, and no approval exists without appraisal."""
    parts: dict[str, Any] = {"role": Role.WORKER, "deployment": "d", "manifest_digest": "00" * 32}
    requirements = Requirements.from_json(CODE, "policy")
    Policy(tee=Tee.SGX, requirements=requirements, **parts)
    with pytest.raises(MalformedError, match="needs a simulation policy"):
        Policy(tee=Tee.SIMULATED, requirements=requirements, **parts)
    with pytest.raises(MalformedError, match="96 hex digits"):
        Policy(tee=Tee.TDX, requirements=requirements, **parts)
    with pytest.raises(TypeError, match="appraise"):
        Approval(claims=None, policy_digest="", valid_until_ms=2**53, _appraised=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (["a"] * 257, lambda fields: fields.texts("x")),
        (["a"] * 3, lambda fields: fields.texts("x", 2)),
        ("aa", lambda fields: fields.texts("x")),
        ([1, 2, 3], lambda fields: fields.list_of("x", str, 2)),
        (11, lambda fields: fields.integer("x", most=10)),
        (["y"], lambda fields: fields.words("x", Tee)),
        ("AAAA", lambda fields: fields.base64("x", 2)),
        ("A" * 8, lambda fields: fields.base64("x", 2)),
    ],
)
def test_limits_of_fields(value: object, read: Any) -> None:
    """Lists, numbers and texts have limits of their own."""
    with pytest.raises(MalformedError):
        read(Fields(json.loads(json.dumps({"x": value})), "thing", ("x",)))
    with pytest.raises(MalformedError, match="not a table"):
        Fields(["x"], "thing", ("x",))
