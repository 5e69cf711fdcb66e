"""Tenant tokens, and requests that carry them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from sealflow.documents.tenant_token import QUOTAS, TenantToken
from sealflow.owner import OwnerKey
from sealflow.wire.domain import TrustDomain
from tests.support.trusted.jobs import seal_request
from tests.support.trusted.worker import DEADLINE_MS, NOW_MS, SESSION, floats, make_request

if TYPE_CHECKING:
    from sealflow.seal.exchange import OutgoingCall
    from sealflow.trusted.worker.models.loader import ServedModel

AUTHORITY = OwnerKey.generate(TrustDomain.SIMULATED)
PLENTY = 10**9


def make_token(tenant: str = "alice", key: OwnerKey = AUTHORITY, **changes: Any) -> str:
    """A token of deployment `test` for an hour, signed; `changes` are its fields."""
    token = TenantToken(
        deployment="test",
        tenant=tenant,
        id="12" * 16,
        not_before_ms=NOW_MS - 1000,
        expires_ms=NOW_MS + 3_600_000,
        period_s=3600,
        weight=1,
        quotas={name: changes.pop(name, PLENTY) for name in QUOTAS},
    )
    return dataclasses.replace(token, **changes).sign(key.signing, key.domain)


def seal_for_tenant(model: ServedModel, token: Any, rows: int = 1) -> OutgoingCall:
    """Seal a request of some rows with a token; None for none."""
    request = make_request(floats([[1, 2, 3, 4]] * rows))
    if token is not None:
        request = dataclasses.replace(request, parameters={"tenant_token": token})
    return seal_request(SESSION, model, request, deadline_ms=DEADLINE_MS)
