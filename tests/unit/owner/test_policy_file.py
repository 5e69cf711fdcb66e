"""Policy files: what they may say, what is wrong with those that cannot work, what they mean."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from sealflow.attest.evidence import Role, Tee
from sealflow.attest.policy import Policy, SimulationPolicy
from sealflow.attest.reports import PlatformFlag, TcbStatus
from sealflow.attest.requirements import OutOfDateException, Requirements
from sealflow.attest.vm_requirements import SnpRequirements, TdxRequirements
from sealflow.cli.policy import policy as command
from sealflow.errors import ConfigError, PolicyError
from sealflow.owner.explaining import explain
from sealflow.owner.policy_file import load_policy, load_policy_file, write_policy
from sealflow.owner.session import ServiceSession
from sealflow.seal.catalog import DirectoryModel

if TYPE_CHECKING:
    from pathlib import Path

HEAD = f'deployment = "prod"\nmanifest_digest = "{"cd" * 32}"\n'
SGX = f'tee = "sgx"\n{HEAD}[keybroker]\nmeasurements = ["{"11" * 32}"]\n'
TDX = f"""tee = "tdx"
{HEAD}
[keybroker]
measurements = ["{"33" * 48}"]
[keybroker.tdx]
rtmr0 = ["{"40" * 48}"]
rtmr1 = ["{"41" * 48}"]
rtmr2 = ["{"42" * 48}"]
"""
SNP = f"""tee = "snp"
{HEAD}
[keybroker]
measurements = ["{"11" * 48}"]
[keybroker.snp.min_tcb]
snp = 8
"""
SIMULATED = f"""tee = "simulated"
insecure_simulated_root = "{b64encode(b"root").decode()}"
{HEAD}
[keybroker]
measurements = ["{"11" * 32}"]
"""


def written(tmp_path: Path, text: str | bytes) -> Path:
    """A policy file."""
    path = tmp_path / "policy.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def policies() -> list[Policy | SimulationPolicy]:
    """Policies in which every field has a value of its own."""
    common: dict[str, Any] = {
        "role": Role.KEY_BROKER,
        "deployment": "prod",
        "manifest_digest": "cd" * 32,
        "models": {"net": frozenset({"aa" * 32, "bb" * 32}), "a.b": frozenset({"cc" * 32})},
    }
    intel: dict[str, Any] = {
        "tcb_statuses": frozenset({TcbStatus.UP_TO_DATE, TcbStatus.SW_HARDENING_NEEDED}),
        "advisories": frozenset({"INTEL-SA-00615"}),
        "max_collateral_age_s": 7 * 86_400,
        "min_tcb_evaluation": 17,
        "platform_flags": frozenset({PlatformFlag.SMT_ENABLED}),
        "insecure_out_of_date": OutOfDateException(until=date(2026, 12, 31), reason='a "reason"'),
    }
    sgx = Requirements(
        measurements=frozenset({"11" * 32, "12" * 32}),
        signers=frozenset({"22" * 32}),
        product_id=0,
        min_svn=3,
        **intel,
    )
    signer = Requirements(
        measurements=frozenset(),
        signers=frozenset({"22" * 32}),
        product_id=7,
        min_svn=1,
        insecure_signer_only=True,
    )
    tdx = Requirements(
        measurements=frozenset({"33" * 48}),
        tdx=TdxRequirements(
            registers={
                "rtmr0": frozenset(),
                "rtmr1": frozenset({"41" * 48}),
                "rtmr2": frozenset({"42" * 48, "43" * 48}),
                "rtmr3": frozenset(),
                "mr_config_id": frozenset({"09" * 48}),
                "mr_owner": frozenset(),
                "mr_owner_config": frozenset(),
            },
            insecure_unchecked_registers=frozenset({"rtmr0", "mr_owner"}),
        ),
        **intel,
    )
    snp = Requirements(
        measurements=frozenset({"11" * 48}),
        signers=frozenset({"07" * 48}),
        min_svn=2,
        snp=SnpRequirements(
            min_tcb={"fmc": 0, "bootloader": 3, "tee": 0, "snp": 8, "microcode": 115},
            host_data=frozenset({"01" * 32}),
            vmpl=2,
            insecure_no_revocations=True,
        ),
    )
    return [
        Policy(tee=Tee.SGX, requirements=sgx, **common),
        Policy(tee=Tee.SGX, requirements=signer, **{**common, "models": {}}),
        Policy(tee=Tee.TDX, requirements=tdx, **common),
        Policy(tee=Tee.SNP, requirements=snp, **common),
        SimulationPolicy(requirements=sgx, insecure_root=b"root", **common),
    ]


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
    policy = load_policy(written(tmp_path, text))
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
    found = load_policy_file(written(tmp_path, SIMULATED))
    assert isinstance(found.keybroker, SimulationPolicy)
    assert found.simulated
    assert not load_policy_file(written(tmp_path, SGX)).simulated


def test_workers(tmp_path: Path) -> None:
    """An owner's file says what workers must prove too."""
    worker = f'[worker]\nmeasurements = ["{"44" * 32}"]\n'
    found = load_policy_file(written(tmp_path, SGX + worker))
    assert found.worker is not None
    assert found.worker.measurements == {"44" * 32}
    with pytest.raises(ConfigError, match="64 hex digits"):
        load_policy_file(written(tmp_path, SGX + worker.replace("44" * 32, "44" * 48)))


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('tee = "sgx"', 'tee = "sev"', "tee is none of sgx, tdx, snp, simulated"),
        ('tee = "sgx"', "tee = 5", "tee is none of"),
        ('tee = "sgx"\n', "", "missing tee"),
        ('tee = "sgx"', 'tee = "simulated"', "insecure_simulated_root belongs to"),
        ('tee = "sgx"', 'tee = "sgx"\ninsecure_simulated_root = "cm9vdA=="', "belongs to"),
        ('tee = "sgx"', 'tee = "tdx"', "96 hex digits"),
        ('tee = "sgx"', 'tee = "sgx"\nmodles = {}', "unknown 'modles'"),
        ('tee = "sgx"', 'tee = "sgx"\nmodels = 5', "models is not a table"),
        ('tee = "sgx"', 'tee = "sgx"\nmodels = {net = []}', "list of package digests"),
        ('tee = "sgx"', 'tee = "sgx"\nmodels = {net = ["x"]}', "digest"),
        ('deployment = "prod"', 'deployment = "../x"', "name"),
        ("measurements", "mesurements", "unknown 'mesurements'"),
        ("11" * 32, "11" * 31, "not 64 or 96"),
        ("11" * 32, "AA" * 32, "lower-case"),
        ('["' + "11" * 32 + '"]', "5", "not a list"),
        ('["' + "11" * 32 + '"]', "[5]", "strings"),
        ('["' + "11" * 32 + '"]', "[]", "nothing could pass"),
        ("[keybroker]", "[keybroker]\nsigners = ['22']", "not 64 or 96"),
        ("[keybroker]", f"[keybroker]\nsigners = ['{'22' * 48}']", "signers: those of sgx"),
        ("[keybroker]", "[keybroker]\nmin_svn = -1", "min_svn is not an integer of 0"),
        ("[keybroker]", "[keybroker]\nmin_svn = true", "min_svn is not an integer of 0"),
        ("[keybroker]", "[keybroker]\nproduct_id = 65536", "product_id is not an integer"),
        ("[keybroker]", "[keybroker]\ntcb_statuses = ['OK']", "may hold UpToDate"),
        ("[keybroker]", "[keybroker]\ntcb_statuses = ['OutOfDate']", "insecure_out_of_date"),
        ("[keybroker]", "[keybroker]\nadvisories = ['SA-1']", "not like INTEL-SA-00615"),
        ("[keybroker]", "[keybroker]\nplatform_flags = ['smt']", "may hold dynamic_platform"),
        ("[keybroker]", "[keybroker]\nmax_collateral_age_s = 999999999", "of 0 to"),
        ("[keybroker]", "[keybroker]\ninsecure_signer_only = 1", "neither true nor false"),
        ("[keybroker]", "[keybroker]\ninsecure_signer_only = true", "needs signers"),
        ("[keybroker]", "[keybroker]\ninsecure_out_of_date = 5", "not a table"),
        ("[keybroker]", "[keybroker]\ninsecure_out_of_date = {until = '2026-12-31'}", "reason"),
        (
            "[keybroker]",
            "[keybroker]\ninsecure_out_of_date = {until = '2026-13-31', reason = 'x'}",
            "not a day",
        ),
        (
            "[keybroker]",
            "[keybroker]\ninsecure_out_of_date = {until = '2026-12-31', reason = ''}",
            "not a sentence",
        ),
        ("[keybroker]", "[keybroker]\nsnp = {}", "has no use for a table snp"),
        ("[keybroker]", "[keybroker]\nsnp = {vmpl = 4}", "vmpl is not an integer of 0 to 3"),
        ("[keybroker]", "[keybroker]\nsnp = {min_tcb = {rom = 1}}", "unknown 'rom'"),
        ("[keybroker]", "[keybroker]\ntdx = {}", "rtmr0 is empty"),
        ("[keybroker]", "[[keybroker]]", "not a table"),
        (
            "[keybroker]",
            "[keybroker]\ntdx = {insecure_unchecked_registers = ['rtmr9']}",
            "may hold rtmr0",
        ),
    ],
)
def test_mistakes(tmp_path: Path, old: str, new: str, why: str) -> None:
    """A mistake is said with the file, the key and what would be right."""
    assert old in SGX
    path = written(tmp_path, SGX.replace(old, new))
    with pytest.raises(ConfigError, match=re.escape(why)) as caught:
        load_policy(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (TDX.replace("[keybroker.tdx]", "[keybroker.snp]"), "unknown"),
        (TDX[: TDX.index("[keybroker.tdx]")], "needs a table tdx"),
        (SNP[: SNP.index("[keybroker.snp")], "needs a table snp"),
        (SNP.replace("[keybroker]", "[keybroker]\nproduct_id = 1"), "are of sgx"),
    ],
)
def test_mistakes_with_virtual_machines(tmp_path: Path, text: str, why: str) -> None:
    """Tables of other hardware, and missing ones of one's own, are said."""
    with pytest.raises(ConfigError, match=why):
        load_policy(written(tmp_path, text))


@pytest.mark.parametrize(
    "text", [b"\xff", b"a = ", b"a = " + b"[" * 20_000, b"#" * 70_000, b"x = 1\nx = 2"]
)
def test_no_toml(tmp_path: Path, text: bytes) -> None:
    """What is no TOML, or far too long, is said."""
    with pytest.raises(ConfigError, match=r"policy\.toml"):
        load_policy(written(tmp_path, text))


def test_no_file(tmp_path: Path) -> None:
    """A missing file, a folder and an unwritable place are said."""
    with pytest.raises(ConfigError, match="get it from the owner"):
        load_policy(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="directory"):
        load_policy(tmp_path)
    with pytest.raises(ConfigError, match="cannot write"):
        write_policy(tmp_path / "none" / "policy.toml", policies()[0])


def weak(tmp_path: Path, policy: Policy | SimulationPolicy) -> set[str]:
    """What a policy gives up, by the subjects of its lines."""
    path = tmp_path / "policy.toml"
    write_policy(path, policy)
    return {line.about for line in explain(load_policy_file(path)) if line.weakens}


def test_what_weakens(tmp_path: Path) -> None:
    """Every option that gives up protection is marked, and nothing else."""
    sgx, signer, tdx, snp, simulated = policies()
    intel = {"key broker: " + name for name in ("TCB status", "advisories", "exception", "machine")}
    assert weak(tmp_path, sgx) == intel
    assert weak(tmp_path, signer) == {"key broker: code"}
    registers = {"key broker: rtmr0", "key broker: mr_owner"}
    assert weak(tmp_path, tdx) == intel | registers
    assert weak(tmp_path, snp) == {"key broker: revocations"}
    assert weak(tmp_path, simulated) == intel | {"hardware"}
    for text in (SGX, TDX, SNP):
        lines = explain(load_policy_file(written(tmp_path, text)))
        assert not any(line.weakens for line in lines)
    open_snp = SNP.replace("snp = 8", "snp = 0")
    lines = explain(load_policy_file(written(tmp_path, open_snp)))
    assert [line.about for line in lines if line.weakens] == ["key broker: firmware"]


def test_all_is_said(tmp_path: Path) -> None:
    """Every value of a policy is somewhere in its words."""
    for policy in policies():
        path = tmp_path / "policy.toml"
        write_policy(path, policy)
        words = " ".join(f"{line.about} {line.text}" for line in explain(load_policy_file(path)))
        hexadecimal = set(re.findall(r"[0-9a-f]{64,}", path.read_text()))
        assert {each for each in hexadecimal if each not in words} == set()


def test_workers_in_words(tmp_path: Path) -> None:
    """What an owner demands of workers is said beside what is demanded of the key broker."""
    worker = f'[worker]\nmeasurements = ["{"44" * 32}"]\nmin_svn = 4\n'
    lines = explain(load_policy_file(written(tmp_path, SGX + worker)))
    texts = {line.about: line.text for line in lines}
    assert texts["workers: code (MRENCLAVE)"] == "44" * 32
    assert texts["workers: release"] == "security version 4 or later"


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


def described(name: str, digest: str) -> DirectoryModel:
    """A model of a directory."""
    return DirectoryModel(
        name=name,
        version="1",
        digest=digest,
        owner="00" * 32,
        default=True,
        inputs=(),
        outputs=(),
        image=None,
        workers=None,
    )


def test_models() -> None:
    """A client whose policy names models seals for no other package."""
    policy = policies()[0]
    session = ServiceSession(policy)
    for name, digest in (("net", "cc" * 32), ("other", "aa" * 32)):
        model = described(name, digest)
        with pytest.raises(PolicyError) as caught:
            session.seal(model, [], timeout_s=1.0)
        assert [each.code for each in caught.value.mismatches] == ["model"]
