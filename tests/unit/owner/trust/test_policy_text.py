"""A policy in words: all that it says, and what it gives up."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sealflow.owner import load_policy
from sealflow.owner.trust.policy_file import load_policy_file, write_policy
from sealflow.owner.trust.policy_text import describe_policy
from tests.support.attestation.policy_files import SGX, SNP, TDX, policies, write_policy_file

if TYPE_CHECKING:
    from pathlib import Path

    from sealflow.owner import Policy, SimulationPolicy


def weak(tmp_path: Path, policy: Policy | SimulationPolicy) -> set[str]:
    """What a policy gives up, by the subjects of its lines."""
    path = tmp_path / "policy.toml"
    write_policy(path, policy)
    return {line.about for line in describe_policy(load_policy(path)) if line.weakens}


def test_what_weakens(tmp_path: Path) -> None:
    """Every option that gives up protection is marked, and nothing else."""
    sgx, signer, tdx, snp, simulated = policies()
    intel = {"key broker: " + name for name in ("TCB status", "advisories", "exception", "machine")}
    assert weak(tmp_path, sgx) == intel
    assert weak(tmp_path, signer) == {"key broker: code"}
    registers = {"key broker: rtmr0", "key broker: mr_owner"}
    assert weak(tmp_path, tdx) == intel | registers
    assert weak(tmp_path, snp) == {"key broker: firmware", "key broker: revocations"}
    assert weak(tmp_path, simulated) == intel | {"hardware"}
    for text in (SGX, TDX, SNP):
        lines = describe_policy(load_policy(write_policy_file(tmp_path, text)))
        assert not any(line.weakens for line in lines)
    open_snp = SNP.replace(
        "[keybroker.snp.min_tcb", "[keybroker.snp]\ninsecure_any_tcb = true\n[keybroker.snp.min_tcb"
    )
    lines = describe_policy(load_policy(write_policy_file(tmp_path, open_snp)))
    assert [line.about for line in lines if line.weakens] == ["key broker: firmware"]


def test_all_is_said(tmp_path: Path) -> None:
    """Every value of a policy is somewhere in its words."""
    for policy in policies():
        path = tmp_path / "policy.toml"
        write_policy(path, policy)
        words = " ".join(f"{line.about} {line.text}" for line in describe_policy(load_policy(path)))
        hexadecimal = set(re.findall(r"[0-9a-f]{64,}", path.read_text()))
        assert {each for each in hexadecimal if each not in words} == set()


def test_shared_batches_in_words(tmp_path: Path) -> None:
    """A policy that lets requests share batches says so, as a weakening."""
    shared = SGX.replace("[keybroker]", "share_batch = true\n[keybroker]")
    for text, expected in ((SGX, False), (shared, True)):
        policy = load_policy(write_policy_file(tmp_path, text))
        assert policy.share_batch is expected
        assert ("batches" in weak(tmp_path, policy)) is expected


def test_suites_in_words(tmp_path: Path) -> None:
    """The suites are said in the order in which the client prefers them."""
    named = SGX.replace("[keybroker]", 'suites = ["x-wing"]\n[keybroker]')
    for text, words in ((SGX, "x-wing, else x25519"), (named, "x-wing")):
        lines = describe_policy(load_policy(write_policy_file(tmp_path, text)))
        assert {line.about: line.text for line in lines}["cipher suites"] == words


def test_workers_in_words(tmp_path: Path) -> None:
    """What an owner demands of workers is said beside what is demanded of the key broker."""
    worker = f'[worker]\nmeasurements = ["{"44" * 32}"]\nmin_svn = 4\n'
    found = load_policy_file(write_policy_file(tmp_path, SGX + worker))
    lines = describe_policy(found.keybroker, found.worker)
    texts = {line.about: line.text for line in lines}
    assert texts["workers: code (MRENCLAVE)"] == "44" * 32
    assert texts["workers: release"] == "security version 4 or later"
