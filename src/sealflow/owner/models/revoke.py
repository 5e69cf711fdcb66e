"""Owner: steps that order the key broker to revoke a worker, a model or a key. Sans-I/O."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from sealflow.documents.revocation import RevocationOrder, SignedRevocationOrder
from sealflow.errors import ConfigError, UnavailableError
from sealflow.owner.http.gateway_api import send_control_request
from sealflow.owner.http.steps import Sleep, with_deadline
from sealflow.owner.trust.directory_refresh import PUBLICATION_TIMEOUT_S, refresh
from sealflow.wire.control import error_of
from sealflow.wire.strict_json import is_integer

if TYPE_CHECKING:
    from sealflow.documents.revocation import Revoked
    from sealflow.owner.http.steps import Steps
    from sealflow.owner.models.owner_key import OwnerKey
    from sealflow.owner.trust.session import ServiceSession

REVOKE_TIMEOUT_S: Final = 120.0
_PAUSE_S: Final = 0.25


def revoke(session: ServiceSession, revoked: Revoked, owner: OwnerKey) -> Steps[int]:
    """Sign and send a revocation order, and wait until the verified directory lists it.

    Return the version of that directory.

    Raises: ConfigError when this owner may not revoke it, VerificationError, UnavailableError.
    """
    return with_deadline(REVOKE_TIMEOUT_S, _revoke(session, revoked, owner))


def _revoke(session: ServiceSession, revoked: Revoked, owner: OwnerKey) -> Steps[int]:
    verified = yield from refresh(session)
    order = RevocationOrder(
        deployment=verified.directory.deployment, revoked=revoked, signer=owner.signer
    )
    signed = SignedRevocationOrder.sign(order, owner.signing, owner.domain)
    answer = yield from send_control_request({"op": "revoke", **signed.to_json()})
    error, version = error_of(answer), answer.get("version")
    if error is not None:
        if error.code == "unavailable":
            raise UnavailableError(f"the key broker did not answer: {error.detail}")
        raise ConfigError(f"the key broker did not revoke it ({error.code}): {error.detail}")
    if not is_integer(version):
        raise UnavailableError("the key broker's answer has no directory version")
    until = time.monotonic() + PUBLICATION_TIMEOUT_S
    while revoked not in (verified := (yield from refresh(session))).directory.revoked:
        if verified.directory.version > version or time.monotonic() >= until:
            raise UnavailableError("the directory does not list the revocation: order it again")
        yield Sleep(_PAUSE_S)
    return verified.directory.version
