"""Policies of the test deployment, evidence that meets them, and verdicts on what does not."""

from __future__ import annotations

from typing import Any

import pytest

from sealflow.attest.evidence import NO_NONCE, Evidence, Role
from sealflow.attest.policy import SimulationPolicy, appraise
from sealflow.attest.reports import PlatformFlag
from sealflow.attest.requirements import Requirements
from sealflow.attest.vm_requirements import SnpRequirements, TdxRequirements
from sealflow.errors import PolicyError
from tests.support.attestation.dcap_authority import DcapAuthority
from tests.support.attestation.dcap_certificates import NOW_S
from tests.support.attestation.evidence import MANIFEST, bound_claims, make_evidence
from tests.support.attestation.quote_bodies import sgx_body, tdx_body
from tests.support.attestation.snp_authority import TCB, SnpAuthority, snp_authority

NOW_MS = 1000 * NOW_S
SGX = Requirements(measurements=frozenset({"11" * 32}))
TDX = Requirements(
    measurements=frozenset({"33" * 48}),
    tdx=TdxRequirements(
        registers={
            "rtmr0": frozenset({"40" * 48}),
            "rtmr1": frozenset({"41" * 48}),
            "rtmr2": frozenset({"42" * 48, "52" * 48}),
        }
    ),
)
SNP = Requirements(
    measurements=frozenset({"11" * 48}),
    platform_flags=frozenset({PlatformFlag.SMT_ENABLED}),
    snp=SnpRequirements(min_tcb={"Milan": TCB}),
)


def policy(requirements: Requirements, root: bytes, **changes: Any) -> SimulationPolicy:
    """A policy for workers of the test deployment."""
    values: dict[str, Any] = {
        "role": Role.WORKER,
        "deployment": "test",
        "manifest_digest": MANIFEST,
        **changes,
    }
    return SimulationPolicy(requirements=requirements, insecure_root=root, **values)


def sgx_evidence(lab: DcapAuthority, **body: Any) -> Evidence:
    """Evidence of an SGX enclave."""
    return make_evidence(
        bound_claims(), lambda data: lab.quote(sgx_body(data, **body)), lab.collateral()
    )


def tdx_evidence(lab: DcapAuthority, **body: Any) -> Evidence:
    """Evidence of a trust domain."""
    return make_evidence(
        bound_claims(), lambda data: lab.quote(tdx_body(data, **body)), lab.collateral()
    )


def snp_evidence(amd: SnpAuthority, crl: bytes | None = None, **body: Any) -> Evidence:
    """Evidence of an SNP guest."""
    collateral = amd.endorsements(crl=crl).to_bytes()
    return make_evidence(bound_claims(), lambda data: amd.report(data, **body), collateral)


def codes(evidence: Evidence, wanted: SimulationPolicy, nonce: str = NO_NONCE) -> list[str]:
    """Appraise what a policy must refuse and give the codes of all mismatches."""
    with pytest.raises(PolicyError) as caught:
        appraise(evidence, wanted, NOW_MS, nonce=nonce)
    for mismatch in caught.value.mismatches:
        assert mismatch.code in str(mismatch)
        assert set(mismatch.to_json()) == {"code", "field", "expected", "got", "hint"}
        assert all(each or key == "field" for key, each in mismatch.to_json().items())
    return [mismatch.code for mismatch in caught.value.mismatches]


def sgx_codes(
    requirements: Requirements, lab: DcapAuthority | None = None, **body: Any
) -> list[str]:
    """Judge an SGX enclave that must be refused."""
    lab = lab or DcapAuthority()
    return codes(sgx_evidence(lab, **body), policy(requirements, lab.root_der))


def tdx_codes(requirements: Requirements, **body: Any) -> list[str]:
    """Judge a trust domain that must be refused."""
    lab = DcapAuthority(tee="TDX")
    return codes(tdx_evidence(lab, **body), policy(requirements, lab.root_der))


def snp_codes(requirements: Requirements, crl: bytes | None = None, **body: Any) -> list[str]:
    """Judge an SNP guest that must be refused."""
    amd = snp_authority(NOW_S)
    return codes(snp_evidence(amd, crl, **body), policy(requirements, amd.root()))


def change_requirements(requirements: Requirements, **changes: Any) -> Requirements:
    """The same demands with others in their place."""
    names = Requirements.__dataclass_fields__
    return Requirements(**{name: getattr(requirements, name) for name in names} | changes)
