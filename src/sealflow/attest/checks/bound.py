"""Core, pure: what an enclave bound to its quote, against a policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealflow.attest.mismatch import equal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealflow.attest.evidence import BoundClaims, Role, Tee
    from sealflow.errors import Mismatch


def check_bound(
    bound: BoundClaims,
    *,
    role: Role,
    tee: Tee,
    deployment: str,
    manifest_digest: str,
    nonce: str | None,
) -> Iterator[Mismatch]:
    """Compare role, TEE, deployment, settings and, when one was given, the nonce."""
    yield from equal("role", "", role, bound.role, "another kind of enclave answered")
    yield from equal("tee", "tee", tee, bound.tee, "the service runs on other hardware")
    yield from equal(
        "deployment",
        "deployment",
        deployment,
        bound.deployment,
        "this is another deployment: check the address, or use its policy",
    )
    yield from equal(
        "manifest_digest",
        "manifest_digest",
        manifest_digest,
        bound.manifest_digest,
        "the deployment's settings changed: ask its owner for a new policy",
    )
    if nonce is not None:
        yield from equal("nonce", "", nonce, bound.nonce, "old evidence: ask for new evidence")
