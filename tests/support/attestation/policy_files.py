"""Policy files: the shortest of each kind of hardware, and policies with a value in every field."""

from __future__ import annotations

from base64 import b64encode
from datetime import date
from typing import TYPE_CHECKING, Any

from sealflow.attest.evidence import Role, Tee
from sealflow.attest.policy import Policy, SimulationPolicy
from sealflow.attest.reports import PlatformFlag, TcbStatus
from sealflow.attest.requirements import OutOfDateWaiver, Requirements
from sealflow.attest.vm_requirements import SnpRequirements, TdxRequirements

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
[keybroker.snp.min_tcb.Milan]
bootloader = 4
tee = 0
snp = 24
microcode = 219
"""
SIMULATED = f"""tee = "simulated"
insecure_simulated_root = "{b64encode(b"root").decode()}"
{HEAD}
[keybroker]
measurements = ["{"11" * 32}"]
"""


def write_policy_file(tmp_path: Path, text: str | bytes) -> Path:
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
        "insecure_out_of_date": OutOfDateWaiver(until=date(2026, 12, 31), reason='a "reason"'),
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
            min_tcb={
                "Milan": {"bootloader": 3, "tee": 0, "snp": 8, "microcode": 115},
                "Turin": {"fmc": 1, "bootloader": 3, "tee": 0, "snp": 8, "microcode": 115},
            },
            host_data=frozenset({"01" * 32}),
            vmpl=2,
            author_keys=frozenset({"08" * 48}),
            insecure_no_revocations=True,
            insecure_any_tcb=True,
        ),
    )
    return [
        Policy(tee=Tee.SGX, requirements=sgx, **common),
        Policy(tee=Tee.SGX, requirements=signer, **{**common, "models": {}}),
        Policy(tee=Tee.TDX, requirements=tdx, **common),
        Policy(tee=Tee.SNP, requirements=snp, **common),
        SimulationPolicy(requirements=sgx, insecure_root=b"root", **common),
    ]
