"""Owner: steps that order the key broker to revoke workers, models, keys or grants. Sans-I/O."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from sealflow.clock import now_ms
from sealflow.documents.revocation import (
    RevocationOrder,
    Revoked,
    RevokedKind,
    SignedRevocationOrder,
)
from sealflow.errors import ConfigError, UnavailableError
from sealflow.owner.http.gateway_api import send_control_request
from sealflow.owner.http.steps import Sleep, with_deadline
from sealflow.owner.trust.directory_refresh import PUBLICATION_TIMEOUT_S, refresh
from sealflow.wire.control import error_of
from sealflow.wire.strict_json import is_integer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealflow.owner.http.steps import Steps
    from sealflow.owner.models.owner_key import OwnerKey
    from sealflow.owner.trust.session import ServiceSession

REVOKE_TIMEOUT_S: Final = 120.0
_UNLISTED: Final = (RevokedKind.GRANT, RevokedKind.TOKEN)
_PAUSE_S: Final = 0.25
_BUSY_PAUSE_S: Final = 5.0


def revoke(
    session: ServiceSession, revoked: Revoked | Sequence[Revoked], owner: OwnerKey
) -> Steps[int]:
    """Sign and send one revocation order, and wait until the verified directory lists all of it.

    Return the version of that directory. While the key broker is busy, it is sent again.

    Raises: ConfigError when this owner may not revoke it, VerificationError, UnavailableError.
    """
    ordered = (revoked,) if isinstance(revoked, Revoked) else tuple(revoked)
    return with_deadline(REVOKE_TIMEOUT_S, _revoke(session, ordered, owner))


def _revoke(session: ServiceSession, revoked: tuple[Revoked, ...], owner: OwnerKey) -> Steps[int]:
    version = yield from _order(session, revoked, owner)
    listed = {each for each in revoked if each.kind not in _UNLISTED}
    until = time.monotonic() + PUBLICATION_TIMEOUT_S
    while True:
        verified = yield from refresh(session)
        if listed <= set(verified.directory.revoked) and verified.directory.version >= version:
            return verified.directory.version
        if verified.directory.version > version or time.monotonic() >= until:
            raise UnavailableError("the directory does not list the revocation: order it again")
        yield Sleep(_PAUSE_S)


def _order(session: ServiceSession, revoked: tuple[Revoked, ...], owner: OwnerKey) -> Steps[int]:
    """Send the order; return the version of the directory after it."""
    until = time.monotonic() + REVOKE_TIMEOUT_S - PUBLICATION_TIMEOUT_S
    while True:
        directory = (yield from refresh(session)).directory
        order = RevocationOrder(
            deployment=directory.deployment,
            log_id=directory.log_id,
            counter=now_ms(),
            revoked=revoked,
            signer=owner.signer,
        )
        signed = SignedRevocationOrder.sign(order, owner.signing, owner.domain)
        answer = yield from send_control_request({"op": "revoke", **signed.to_json()})
        error, version = error_of(answer), answer.get("version")
        if error is None:
            if is_integer(version):
                return version
            raise UnavailableError("the key broker's answer has no directory version")
        if error.code == "unavailable":
            raise UnavailableError(f"the key broker did not answer: {error.detail}")
        if error.code != "busy":
            raise ConfigError(f"the key broker did not revoke it ({error.code}): {error.detail}")
        if time.monotonic() >= until:
            raise UnavailableError(f"the key broker is busy: {error.detail}")
        yield Sleep(_BUSY_PAUSE_S)
