"""Mistakes in policy files: each is said with the file, the key and what would be right."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import ConfigError
from sealflow.owner.trust.policy_file import load_policy
from tests.support.attestation.policy_files import SGX, SNP, TDX, write_policy_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('tee = "sgx"', 'tee = "sev"', "tee is not one of sgx, tdx, snp, simulated"),
        ('tee = "sgx"', "tee = 5", "tee is not one of"),
        ('tee = "sgx"\n', "", "missing tee"),
        ('tee = "sgx"', 'tee = "simulated"', "insecure_simulated_root is required for"),
        ('tee = "sgx"', 'tee = "sgx"\ninsecure_simulated_root = "cm9vdA=="', "only for it"),
        ('tee = "sgx"', 'tee = "tdx"', "96 hex digits"),
        ('tee = "sgx"', 'tee = "sgx"\nmodles = {}', "unknown 'modles'"),
        ('tee = "sgx"', 'tee = "sgx"\nmodels = 5', "models is not a table"),
        ('tee = "sgx"', 'tee = "sgx"\nmodels = {net = []}', "list of 1 to 256 package digests"),
        ('tee = "sgx"', 'tee = "sgx"\nmodels = {net = ["x"]}', "digest"),
        ('tee = "sgx"', 'tee = "sgx"\nsuites = ["xwing"]', "suites: not a list of different"),
        ('deployment = "prod"', 'deployment = "../x"', "name"),
        ("measurements", "mesurements", "unknown 'mesurements'"),
        ("11" * 32, "11" * 31, "not 64 or 96"),
        ("11" * 32, "AA" * 32, "lower-case"),
        ('["' + "11" * 32 + '"]', "5", "not a list"),
        ('["' + "11" * 32 + '"]', "[5]", "strings"),
        ('["' + "11" * 32 + '"]', "[]", "no enclave would be accepted"),
        ("[keybroker]", "[keybroker]\nsigners = ['22']", "not 64 or 96"),
        ("[keybroker]", f"[keybroker]\nsigners = ['{'22' * 48}']", "64 hex digits of sgx"),
        ("[keybroker]", "[keybroker]\nmin_svn = -1", "min_svn is not an integer of 0"),
        ("[keybroker]", "[keybroker]\nmin_svn = true", "min_svn is not an integer of 0"),
        ("[keybroker]", "[keybroker]\nproduct_id = 65536", "product_id is not an integer"),
        ("[keybroker]", "[keybroker]\ntcb_statuses = ['OK']", "is not one of UpToDate"),
        ("[keybroker]", "[keybroker]\ntcb_statuses = ['OutOfDate']", "insecure_out_of_date"),
        ("[keybroker]", "[keybroker]\nadvisories = ['SA-1']", "not an id such as INTEL-SA-00615"),
        ("[keybroker]", "[keybroker]\nplatform_flags = ['smt']", "is not one of dynamic_platform"),
        ("[keybroker]", "[keybroker]\nmax_collateral_age_s = 999999999", "of 0 to"),
        ("[keybroker]", "[keybroker]\ninsecure_signer_only = 1", "neither true nor false"),
        ("[keybroker]", "[keybroker]\ninsecure_signer_only = true", "requires signers"),
        ("[keybroker]", "[keybroker]\ninsecure_out_of_date = 5", "not a table"),
        ("[keybroker]", "[keybroker]\ninsecure_out_of_date = {until = '2026-12-31'}", "reason"),
        (
            "[keybroker]",
            "[keybroker]\ninsecure_out_of_date = {until = '2026-13-31', reason = 'x'}",
            "not a date",
        ),
        (
            "[keybroker]",
            "[keybroker]\ninsecure_out_of_date = {until = '2026-12-31', reason = ''}",
            "not a text",
        ),
        ("[keybroker]", "[keybroker]\nsnp = {insecure_any_tcb = true}", "excludes a table snp"),
        ("[keybroker]", "[keybroker]\nsnp = {vmpl = 4}", "vmpl is not an integer of 0 to 3"),
        ("[keybroker]", "[keybroker]\nsnp = {min_tcb = {Rome = {}}}", "unknown 'Rome'"),
        ("[keybroker]", "[keybroker]\nsnp = {min_tcb = {snp = 8}}", "parts of no product line"),
        ("[keybroker]", "[keybroker]\nsnp = {min_tcb = {Milan = {snp = 8}}}", "missing"),
        ("[keybroker]", "[keybroker]\nsnp = {vmpl = 0}", "set insecure_any_tcb"),
        ("[keybroker]", "[keybroker]\ntdx = {}", "rtmr0 is empty"),
        ("[keybroker]", "[[keybroker]]", "not a table"),
        (
            "[keybroker]",
            "[keybroker]\ntdx = {insecure_unchecked_registers = ['rtmr9']}",
            "is not one of rtmr0",
        ),
    ],
)
def test_mistakes(tmp_path: Path, old: str, new: str, why: str) -> None:
    """A mistake is said with the file, the key and what would be right."""
    assert old in SGX
    path = write_policy_file(tmp_path, SGX.replace(old, new))
    with pytest.raises(ConfigError, match=re.escape(why)) as caught:
        load_policy(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (TDX.replace("[keybroker.tdx]", "[keybroker.snp]"), "unknown"),
        (TDX[: TDX.index("[keybroker.tdx]")], "requires a table tdx"),
        (SNP[: SNP.index("[keybroker.snp")], "requires a table snp"),
        (SNP.replace("[keybroker]", "[keybroker]\nproduct_id = 1"), "apply to sgx only"),
    ],
)
def test_mistakes_with_virtual_machines(tmp_path: Path, text: str, why: str) -> None:
    """Tables of other hardware, and missing ones of one's own, are said."""
    with pytest.raises(ConfigError, match=why):
        load_policy(write_policy_file(tmp_path, text))
