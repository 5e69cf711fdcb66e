"""Key broker: requests of owners (publish, revoke), and how any request is answered.

Each owner's rights end at its own models; an operator publishes nothing.
Spec: docs/spec/keybroker.md, section 7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealflow.documents.log import EntryKind
from sealflow.documents.revocation import RevokedKind, SignedRevocationOrder
from sealflow.errors import (
    BundleError,
    EvidenceError,
    MalformedError,
    OpenError,
    RefusedError,
    SealflowError,
    UnavailableError,
)
from sealflow.package.publication import open_publication
from sealflow.trusted.keybroker.key_store import VersionTakenError
from sealflow.wire.fields import Fields
from sealflow.wire.frames import MAX_CONTROL_BYTES
from sealflow.wire.strict_json import canonical_json, parse_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealflow.documents.revocation import RevocationOrder
    from sealflow.package.publication import Publication
    from sealflow.trusted.identity.identity import EnclaveIdentity
    from sealflow.trusted.keybroker.key_store import KeyStore
    from sealflow.trusted.keybroker.log_writer import LogWriter


class ControlError(SealflowError):
    """Why a request is not done: a code of a closed list and a sentence for people."""

    def __init__(self, code: str, detail: str) -> None:
        """Keep both."""
        super().__init__(detail)
        self.code = code
        self.detail = detail


def answer_control_request(
    request: bytes | memoryview, answer: Callable[[dict[str, object]], dict[str, object]]
) -> bytes:
    """Answer a request of bounded size, or say in the answer why it is not done.

    `answer`: does what a parsed request asks; it raises Problem, MalformedError, UnavailableError.
    """
    try:
        if len(request) > MAX_CONTROL_BYTES:
            raise ControlError("too_large", f"requests are at most {MAX_CONTROL_BYTES} bytes")  # noqa: TRY301
        return canonical_json(answer(parse_object(request, "control request")))
    except MalformedError as error:
        problem = ControlError("malformed", str(error))
    except ControlError as error:
        problem = error
    except UnavailableError as error:
        problem = ControlError("unavailable", str(error))
    return canonical_json({"error": {"code": problem.code, "detail": problem.detail}})


def accept_publication(
    value: dict[str, object], identity: EnclaveIdentity, key_store: KeyStore, log_writer: LogWriter
) -> tuple[Publication, bool]:
    """Take a model from its owner; says whether anything changed.

    Raises: Problem, MalformedError.
    """
    sealed = Fields(value, "publish", ("op", "sealed")).base64("sealed", MAX_CONTROL_BYTES)
    try:
        publication = open_publication(sealed, identity.opening)
    except OpenError as error:
        detail = "the publication does not open: it was sealed to another key broker"
        raise ControlError("not_opened", detail) from error
    except BundleError as error:
        raise ControlError("malformed", str(error)) from error
    if publication.workers is not None:
        publication.workers.require_fit(identity.deployment.tee)
    ref, digest = publication.statement.manifest.ref, publication.digest
    if publication.signer not in identity.deployment.owners:
        raise ControlError(
            "not_an_owner", f"{publication.signer} is not an owner of this deployment"
        )
    if key_store.is_revoked(RevokedKind.MODEL, digest):
        raise ControlError("revoked", f"this package of {ref} was revoked: pack it anew")
    try:
        changed = key_store.publish(publication)
    except VersionTakenError as error:
        detail = f"{ref} is another package already: publish it under a new version"
        raise ControlError("version_taken", detail) from error
    except RefusedError as error:
        raise ControlError("full", "no more models fit") from error
    if changed:
        workers = publication.workers
        body: dict[str, object] = {
            "name": ref.name,
            "version": ref.version,
            "digest": digest,
            "owner": publication.signer,
            "workers": None if workers is None else workers.to_json(),
        }
        log_writer.append(EntryKind.PUBLICATION, key_store.now_ms, body)
    return publication, changed


def revoke(
    value: dict[str, object], identity: EnclaveIdentity, key_store: KeyStore, log_writer: LogWriter
) -> bool:
    """Carry out a signed order; says whether anything changed.

    Raises: Problem, MalformedError.
    """
    order_fields = {name: part for name, part in value.items() if name != "op"}
    signed, deployment = SignedRevocationOrder.from_json(order_fields), identity.deployment
    try:
        order = signed.verify_signature(deployment.tee.domain)
    except EvidenceError as error:
        raise ControlError("order_signature", error.detail) from error
    if order.deployment != deployment.name:
        raise ControlError("malformed", "the order is for another deployment")
    if key_store.is_revoked(order.revoked.kind, order.revoked.id):
        return False
    if not _may(order, identity, key_store):
        raise ControlError("not_allowed", f"{order.signer} may not revoke this")
    try:
        changed = key_store.revoke(order.revoked)
    except RefusedError as error:
        raise ControlError("full", "no more revocations can be remembered") from error
    if changed:
        log_writer.append(EntryKind.REVOCATION, key_store.now_ms, signed.to_json())
    return changed


def _may(order: RevocationOrder, identity: EnclaveIdentity, key_store: KeyStore) -> bool:
    if order.signer in identity.deployment.operators:
        return True
    if order.signer not in identity.deployment.owners:
        return False
    # Nobody may forbid a package that another owner has yet to publish.
    return (
        order.revoked.kind is not RevokedKind.MODEL
        or key_store.owner_of(order.revoked.id) == order.signer
    )
