"""Publications as an owner seals them, of which anything may be changed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sealflow.package.publication import PublicationOrder, requirements_digest, seal_publication

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealflow.attest.requirements import Requirements
    from sealflow.package.container import Package
    from sealflow.seal.keys import SealingKey

ISSUED_MS = 1_750_000_000_000


def publication_order(
    package: Package, *, workers: Requirements | None = None, **changes: Any
) -> PublicationOrder:
    """Return the order of a package's owner."""
    order = PublicationOrder(
        deployment="test",
        log_id="0f" * 32,
        counter=ISSUED_MS,
        digest=package.digest,
        package_sha256="ab" * 32,
        package_bytes=1000,
        workers=None if workers is None else requirements_digest(workers),
        default=True,
        signer=package.signer,
    )
    return replace(order, **changes)


def sealed_publication(
    package: Package,
    content_key: bytes,
    key: SealingKey,
    signing: Ed25519PrivateKey,
    *,
    workers: Requirements | None = None,
    **changes: Any,
) -> bytes:
    """Return a publication, with an order that says other things in `changes`."""
    order = publication_order(package, workers=workers, **changes)
    return seal_publication(
        package, content_key, key, signing=signing, order=order, workers=workers
    )
