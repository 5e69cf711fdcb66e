"""Key broker: what owners and operators may do: publish their models, revoke.

Each owner's rights end at its own models; an operator publishes nothing.
Spec: docs/spec/keybroker.md, section 7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealflow.documents.log import EntryKind
from sealflow.documents.revocation import RevokedKind, SignedOrder
from sealflow.errors import BundleError, EvidenceError, OpenError, RefusedError
from sealflow.package.publication import open_publication
from sealflow.trusted.keybroker.requests import Problem
from sealflow.trusted.keybroker.vault import VersionTakenError
from sealflow.wire.fields import decode_base64
from sealflow.wire.frames import MAX_CONTROL_BYTES
from sealflow.wire.strict_json import require_keys

if TYPE_CHECKING:
    from sealflow.documents.revocation import Order
    from sealflow.package.publication import Publication
    from sealflow.trusted.keybroker.history import History
    from sealflow.trusted.keybroker.vault import Vault
    from sealflow.trusted.quoting import Identity


def take_publication(
    value: dict[str, object], identity: Identity, vault: Vault, history: History
) -> tuple[Publication, bool]:
    """Take a model from its owner; says whether anything changed.

    Raises: Problem, MalformedError.
    """
    require_keys(value, ("op", "sealed"), "publish")
    sealed = decode_base64(value["sealed"], MAX_CONTROL_BYTES, "sealed")
    try:
        publication = open_publication(sealed, identity.opening)
    except OpenError as error:
        detail = "the publication does not open: it was sealed to another key broker"
        raise Problem("not_opened", detail) from error
    except BundleError as error:
        raise Problem("malformed", str(error)) from error
    if publication.workers is not None:
        publication.workers.require_fit(identity.deployment.tee)
    ref, digest = publication.statement.manifest.ref, publication.digest
    if publication.signer not in identity.deployment.owners:
        raise Problem("not_an_owner", f"{publication.signer} is no owner of this deployment")
    if vault.is_revoked(RevokedKind.MODEL, digest):
        raise Problem("revoked", f"this package of {ref} was revoked: pack it anew")
    try:
        changed = vault.publish(publication)
    except VersionTakenError as error:
        detail = f"{ref} is another package already: publish it under a new version"
        raise Problem("version_taken", detail) from error
    except RefusedError as error:
        raise Problem("full", "no more models fit") from error
    if changed:
        workers = publication.workers
        body: dict[str, object] = {
            "name": ref.name,
            "version": ref.version,
            "digest": digest,
            "owner": publication.signer,
            "workers": None if workers is None else workers.as_json(),
        }
        history.append(EntryKind.PUBLICATION, vault.now_ms, body)
    return publication, changed


def revoke(value: dict[str, object], identity: Identity, vault: Vault, history: History) -> bool:
    """Carry out a signed order; says whether anything changed.

    Raises: Problem, MalformedError.
    """
    require_keys(value, ("op", "order", "signature"), "revoke")
    signed, deployment = SignedOrder.from_json(value), identity.deployment
    try:
        order = signed.verify(deployment.tee.world)
    except EvidenceError as error:
        raise Problem("order_signature", error.detail) from error
    if order.deployment != deployment.name:
        raise Problem("malformed", "the order is for another deployment")
    if vault.is_revoked(order.revoked.kind, order.revoked.id):
        return False
    if not _may(order, identity, vault):
        raise Problem("not_allowed", f"{order.signer} may not revoke this")
    try:
        changed = vault.revoke(order.revoked)
    except RefusedError as error:
        raise Problem("full", "no more revocations can be remembered") from error
    if changed:
        history.append(EntryKind.REVOCATION, vault.now_ms, signed.as_json())
    return changed


def _may(order: Order, identity: Identity, vault: Vault) -> bool:
    if order.signer in identity.deployment.operators:
        return True
    if order.signer not in identity.deployment.owners:
        return False
    # Nobody may forbid a package that another owner has yet to publish.
    return (
        order.revoked.kind is not RevokedKind.MODEL
        or vault.owner_of(order.revoked.id) == order.signer
    )
