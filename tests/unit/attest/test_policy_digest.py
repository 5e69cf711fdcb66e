"""The digest that names a policy."""

from __future__ import annotations

import hashlib

from sealflow.attest.claims import TrustRoot
from sealflow.attest.evidence import Role, Tee
from sealflow.attest.policy import Policy, appraise, policy_digest, trust_root
from sealflow.attest.suites import SuiteName
from sealflow.wire.strict_json import canonical_json
from tests.support.attestation.dcap_authority import DcapAuthority
from tests.support.attestation.evidence import MANIFEST
from tests.support.attestation.policies import (
    NOW_MS,
    SGX,
    TDX,
    change_requirements,
    policy,
    sgx_evidence,
)


def test_policy_digest() -> None:
    """Every demand of a policy changes its digest."""
    root = DcapAuthority().root_der
    policies = [
        policy(SGX, root),
        policy(SGX, b"other"),
        policy(SGX, root, role=Role.KEY_BROKER),
        policy(SGX, root, deployment="other"),
        policy(SGX, root, models={"m": frozenset({"aa" * 32})}),
        policy(change_requirements(SGX, min_svn=1), root),
        policy(SGX, root, suites=(SuiteName.X_WING,)),
        policy(SGX, root, suites=(SuiteName.X25519, SuiteName.X_WING)),
        policy(TDX, root),
    ]
    assert len(set(map(policy_digest, policies))) == len(policies)
    production = Policy(
        role=Role.WORKER, tee=Tee.SGX, deployment="t", manifest_digest=MANIFEST, requirements=SGX
    )
    assert trust_root(production) == TrustRoot()
    assert policy_digest(production) != policy_digest(policy(SGX, b"", deployment="t"))


def test_policy_digests() -> None:
    """A policy is named by all that it says."""
    lab = DcapAuthority()
    models = {"m": frozenset({"b" * 64, "a" * 64})}
    whole: dict[str, object] = {
        "role": "worker",
        "tee": "simulated",
        "deployment": "test",
        "manifest_digest": MANIFEST,
        "requirements": SGX.to_json(),
        "models": {"m": ["a" * 64, "b" * 64]},
        "suites": ["x-wing", "x25519"],
        "root": hashlib.sha256(lab.root_der).hexdigest(),
    }
    wanted = policy(SGX, lab.root_der, models=models)
    assert policy_digest(wanted) == hashlib.sha256(canonical_json(whole)).hexdigest()
    evidence = sgx_evidence(lab)
    assert appraise(evidence, wanted, NOW_MS).policy_digest == policy_digest(wanted)
