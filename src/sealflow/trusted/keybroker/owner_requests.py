"""Key broker: carries out publish and revoke requests, and writes the answers to all requests.

An owner publishes models, and revokes its own models and its own grants to a worker. An operator
revokes workers, keys and models, and publishes nothing. Spec: docs/spec/keybroker.md, section 7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealflow.documents.log import EntryKind
from sealflow.documents.revocation import RevokedKind, SignedRevocationOrder
from sealflow.errors import (
    BundleError,
    EvidenceError,
    MalformedError,
    OpenError,
    RefusalCode,
    RefusedError,
    SealflowError,
    UnavailableError,
)
from sealflow.package.publication import open_publication
from sealflow.trusted.keybroker.budgets import problem_with_size
from sealflow.trusted.keybroker.key_store import (
    MAX_MODELS,
    NameTakenError,
    VersionTakenError,
)
from sealflow.wire.control import ErrorAnswer
from sealflow.wire.fields import Fields
from sealflow.wire.frames import MAX_CONTROL_BYTES
from sealflow.wire.strict_json import canonical_json, parse_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealflow.documents.revocation import Revoked
    from sealflow.package.publication import Publication
    from sealflow.trusted.identity.identity import EnclaveIdentity
    from sealflow.trusted.keybroker.key_store import KeyStore
    from sealflow.trusted.keybroker.log_writer import LogWriter

_MAX_AHEAD_MS: Final = 3 * 366 * 86_400_000
"""How far `issued_ms` may be ahead, as no earlier publication ever replaces it. The key broker's
clock is its host's, and may be behind."""
MAX_AHEAD_MS: Final = 86_400_000
"""How far a signer's clock may be ahead: its next order has a higher counter than this one."""


class ControlError(SealflowError):
    """A request that the key broker refuses: `code` is stable, `detail` is a sentence for people.

    The codes are listed in docs/spec/frames.md, section 8.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def answer_control_request(
    request: bytes | memoryview, answer: Callable[[dict[str, object]], dict[str, object]]
) -> bytes:
    """Parse one control request and return the JSON answer, which may be an error with its code.

    `answer`: carries out the parsed request; its ControlError, MalformedError and UnavailableError
    become error answers.
    """
    try:
        if len(request) > MAX_CONTROL_BYTES:
            raise ControlError("too_large", f"requests are at most {MAX_CONTROL_BYTES} bytes")  # noqa: TRY301
        return canonical_json(answer(parse_object(request, "control request")))
    except MalformedError as error:
        refusal = ControlError("malformed", str(error))
    except ControlError as error:
        refusal = error
    except UnavailableError as error:
        refusal = ControlError("unavailable", str(error))
    return ErrorAnswer(code=refusal.code, detail=refusal.detail).to_bytes()


def accept_publication(
    value: dict[str, object], identity: EnclaveIdentity, key_store: KeyStore, log_writer: LogWriter
) -> tuple[Publication, bool]:
    """Carry out a publish request; return the publication and whether anything changed.

    Raises: ControlError when the request is refused; MalformedError when it does not parse, or the
    owner's requirements do not fit the deployment's TEE.
    """
    publication = _open_publication(value, identity)
    ref, digest = publication.statement.manifest.ref, publication.digest
    if publication.signer not in identity.deployment.owners:
        raise ControlError(
            "not_an_owner", f"{publication.signer} is not an owner of this deployment"
        )
    if not identity.deployment.may_name(publication.signer, ref.name):
        detail = f"the deployment's settings do not give the name {ref.name} to this owner"
        raise ControlError("not_allowed", f"{detail}: publish under a name that they give it")
    _check_bounds(publication, identity, key_store)
    _check_order(publication, identity, key_store, log_writer.head.log_id)
    if key_store.is_revoked(RevokedKind.MODEL, digest):
        raise ControlError("revoked", f"this package of {ref} is revoked: pack the model again")
    try:
        changed = key_store.publish(publication)
    except NameTakenError as error:
        detail = f"the name {ref.name} belongs to another owner: publish under another name"
        raise ControlError("name_taken", detail) from error
    except VersionTakenError as error:
        detail = f"another package is published as {ref}: publish this one under a new version"
        raise ControlError("version_taken", detail) from error
    except RefusedError as error:
        detail = (
            f"the key broker holds {MAX_MODELS} models, its limit, or this owner's share of models "
            "or of names: revoke a model first, or publish under a name that this owner has"
        )
        raise ControlError("full", detail) from error
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


def _open_publication(value: dict[str, object], identity: EnclaveIdentity) -> Publication:
    sealed = Fields(value, "publish", ("op", "sealed")).base64("sealed", MAX_CONTROL_BYTES)
    try:
        publication = open_publication(sealed, identity.private_key)
    except OpenError as error:
        detail = (
            "the publication does not open: it was damaged, or sealed to another key broker; "
            "publish it again"
        )
        raise ControlError("not_opened", detail) from error
    except BundleError as error:
        raise ControlError("malformed", str(error)) from error
    if publication.workers is not None:
        publication.workers.require_fit(identity.deployment.tee)
    return publication


def _check_order(
    publication: Publication, identity: EnclaveIdentity, key_store: KeyStore, log_id: str
) -> None:
    """Check that the owner's order is for this history, and newer than all before.

    Raises: ControlError.
    """
    order = publication.order
    name = publication.statement.manifest.name
    if order is None:
        # Of a release before 0.2: whoever knows the content key can make it, so it only adds.
        if name in key_store.orders.signed_names:
            detail = f"signed orders were given for the name {name}: publish by a newer release"
            raise ControlError("replayed", detail)
        return
    deployment = identity.deployment.name
    if order.deployment != deployment:
        raise ControlError(
            "malformed", f"the order is for deployment {order.deployment}, this one is {deployment}"
        )
    if order.log_id != log_id:
        raise ControlError("replayed", "the order is for another history: publish again")
    check_counter(order.counter, order.signer, key_store)


def _check_bounds(publication: Publication, identity: EnclaveIdentity, key_store: KeyStore) -> None:
    if publication.issued_ms > key_store.now_ms + _MAX_AHEAD_MS:
        detail = (
            f"issued_ms is {publication.issued_ms}, years ahead of the key broker's time "
            f"{key_store.now_ms}: set the clock of the machine that publishes"
        )
        raise ControlError("malformed", detail)
    owners = len(identity.deployment.owners)
    if problem := problem_with_size(publication, key_store.publications, owners):
        raise ControlError("full", f"{problem}: revoke a model, or name fewer tensors")


def revoke(
    value: dict[str, object], identity: EnclaveIdentity, key_store: KeyStore, log_writer: LogWriter
) -> bool:
    """Carry out a signed revocation order; return whether anything changed.

    Raises: ControlError when the order is refused; MalformedError when it does not parse.
    """
    order_fields = {name: part for name, part in value.items() if name != "op"}
    signed, deployment = SignedRevocationOrder.from_json(order_fields), identity.deployment
    try:
        order = signed.verify_signature(deployment.tee.domain)
    except EvidenceError as error:
        raise ControlError("order_signature", error.detail) from error
    if order.deployment != deployment.name:
        raise ControlError(
            "malformed",
            f"the order is for deployment {order.deployment}, this one is {deployment.name}",
        )
    if order.log_id != log_writer.head.log_id:
        raise ControlError("replayed", "the order is for another history: order it again")
    new = [each for each in order.revoked if not key_store.is_done(each, order.signer)]
    if not new:
        return False
    for each in new:
        _check_revocation(each, order.signer, identity, key_store)
    check_counter(order.counter, order.signer, key_store)
    try:
        key_store.revoke(new, order.signer)
    except RefusedError as error:
        raise _refusal(error) from error
    key_store.orders.counters[order.signer] = order.counter
    log_writer.append(EntryKind.REVOCATION, key_store.now_ms, signed.to_json())
    return True


def check_counter(counter: int, signer: str, key_store: KeyStore) -> None:
    """Check that a signed order is newer than all earlier ones of its signer, and not far ahead.

    Raises: ControlError.
    """
    if counter <= key_store.orders.counters.get(signer, 0):
        detail = "an order of this signer with this counter or a later one was carried out"
        raise ControlError("replayed", f"{detail}: check the clock, and order it again")
    if counter > key_store.now_ms + MAX_AHEAD_MS:
        detail = "the order's counter is over a day ahead of the key broker's clock"
        raise ControlError("malformed", f"{detail}: check the clock, and order it again")


def _refusal(error: RefusedError) -> ControlError:
    if error.code is RefusalCode.UNAVAILABLE:
        detail = "there is no room for another epoch before older keys end: try again later"
        return ControlError("busy", detail)
    detail = "a share of revocations is used up: that of a model's owner, of an owner's grants, of "
    detail += "tokens or of workers, which is free again when what they had has ended"
    return ControlError("full", f"{detail}; else a new history begins with new settings")


def _check_revocation(
    revoked: Revoked, signer: str, identity: EnclaveIdentity, key_store: KeyStore
) -> None:
    """Check that a signer may revoke something, and that it is there.

    Raises: ControlError.
    """
    is_operator = signer in identity.deployment.operators
    is_owner = signer in identity.deployment.owners
    match revoked.kind:
        case RevokedKind.WORKER | RevokedKind.KEY:
            allowed = is_operator
        case RevokedKind.GRANT:
            allowed = is_owner
        case RevokedKind.TOKEN:
            allowed = signer == identity.deployment.tenants
        case RevokedKind.MODEL:
            owner = key_store.owner_of(revoked.id)
            allowed = is_operator or (is_owner and owner in {None, signer})
    if not allowed:
        raise ControlError(
            "not_allowed",
            f"{signer} may not revoke this: operators revoke workers, keys and models, owners "
            "their own models and grants to a worker, the tenant authority its tokens",
        )
    if not key_store.is_known(revoked):
        raise ControlError("not_found", f"there is no {revoked.kind} {revoked.id} now")
