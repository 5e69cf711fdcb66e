"""Grants open for the worker, evidence and key broker that they were made for, and nobody else."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealflow.attest.evidence import Role
from sealflow.attest.policy import Approval, appraise
from sealflow.documents.grant import Grant, GrantedKey, GrantedModel, open_grant
from sealflow.errors import EvidenceError, MalformedError, OpenError
from sealflow.seal.enclave import seal_to_enclave
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.trusted.identity.identity import EnclaveIdentity, create_identity
from sealflow.wire.ids import ModelRef
from tests.support.attestation.deployments import simulated_deployment
from tests.support.trusted.lease_host import no_collateral

if TYPE_CHECKING:
    from collections.abc import Callable

NOW_MS = 1_750_000_000_000
NONCE = "5a" * 32
DIGEST = "ab" * 32
BROKER = Ed25519PrivateKey.generate()
BROKER_PUBLIC = BROKER.public_key().public_bytes_raw()
GRANT = Grant(
    keys=(GrantedKey(private_key=OpeningKey.generate(Suite.SIMULATED_XWING), destroy_ms=9),),
    models=(
        GrantedModel(
            ref=ModelRef(name="tiny", version="1"),
            digest=DIGEST,
            signer=DIGEST,
            content_key=bytes(32),
        ),
    ),
    lease_ms=7,
    log_id=DIGEST,
    directory_version=2,
)


@pytest.fixture(scope="module")
def worker() -> EnclaveIdentity:
    """A worker with a simulated TEE."""
    made = simulated_deployment(NOW_MS)
    signing = Ed25519PrivateKey.generate()
    platform = made.platform.to_bytes()
    return create_identity(Role.WORKER, made.deployment, platform, signing, no_collateral)


@pytest.fixture(scope="module")
def approval(worker: EnclaveIdentity) -> Approval:
    """What the key broker thinks of it."""
    policy = worker.deployment.policy(Role.WORKER)
    return appraise(worker.evidence(NONCE), policy, NOW_MS, nonce=NONCE)


def _open(worker: EnclaveIdentity, approval: Approval, sealed: bytes, signature: bytes) -> Grant:
    return open_grant(
        sealed,
        signature,
        private_key=worker.private_key,
        bound=approval.claims.bound.to_bytes(),
        nonce=NONCE,
        signer=BROKER_PUBLIC,
    )


def test_round_trip(worker: EnclaveIdentity, approval: Approval) -> None:
    """The worker gets what was granted."""
    assert _open(worker, approval, *GRANT.seal(approval, BROKER)) == GRANT


def test_what_does_not_open(worker: EnclaveIdentity, approval: Approval) -> None:
    """Changed bytes, another key broker, worker, nonce or purpose: one error, without a reason."""
    sealed, signature = GRANT.seal(approval, BROKER)
    stranger = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    right: dict[str, Any] = {
        "private_key": worker.private_key,
        "bound": approval.claims.bound.to_bytes(),
        "nonce": NONCE,
        "signer": BROKER_PUBLIC,
    }
    flipped = bytes([sealed[0] ^ 1]) + sealed[1:]
    again = GRANT.seal(approval, BROKER)
    wrong: list[tuple[bytes, bytes, dict[str, Any]]] = [
        (flipped, signature, {}),
        (sealed, again[1], {}),
        (sealed, signature, {"nonce": "00" * 32}),
        (sealed, signature, {"bound": b"other"}),
        (sealed, signature, {"signer": stranger}),
        (sealed, signature, {"private_key": OpeningKey.generate(Suite.SIMULATED_XWING)}),
        (*seal_to_enclave(b"{}", approval, BROKER, "state"), {}),
    ]  # fmt: skip
    for text, signed, other in wrong:
        with pytest.raises(OpenError):
            open_grant(text, signed, **{**right, **other})


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.pop("history"),
        lambda value: value.update(keys={}),
        lambda value: value.update(keys=[5]),
        lambda value: value.update(models=[{}] * 1025),
        lambda value: value.update(lease_ms="7"),
        lambda value: value.update(directory_version=True),
        lambda value: value["keys"][0].update(suite=int(Suite.XWING)),
        lambda value: value["keys"][0].update(destroy_ms=None),
        lambda value: value["models"][0].update(content_key="*"),
        lambda value: value["models"][0].update(digest="ab"),
    ],
)
def test_malformed_grants(
    worker: EnclaveIdentity, approval: Approval, change: Callable[[dict[str, Any]], object]
) -> None:
    """What the key broker wrote must still be a grant, with keys of the worker's world."""
    value = json.loads(GRANT._encode())
    change(value)
    sealed, signature = seal_to_enclave(json.dumps(value).encode(), approval, BROKER, "grant")
    with pytest.raises(MalformedError):
        _open(worker, approval, sealed, signature)


def test_keys_of_another_world(approval: Approval) -> None:
    """Nothing is handed to evidence that names a key which is not one of its suite."""
    bound = dataclasses.replace(approval.claims.bound, sealing_key=b"\xff" * 1216)
    claims = dataclasses.replace(approval.claims, bound=bound)
    with pytest.raises(EvidenceError, match="not a key of its suite"):
        GRANT.seal(dataclasses.replace(approval, claims=claims), BROKER)
