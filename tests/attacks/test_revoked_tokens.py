"""Attacks on the revocation of tenant tokens: rows 136 to 138 of docs/threat-model.md."""

from __future__ import annotations

from typing import Any

import pytest

from sealflow.attest.evidence import Role
from sealflow.documents.grant import MAX_REVOKED_TOKENS
from sealflow.documents.revocation import (
    MAX_ORDERED,
    RevocationOrder,
    Revoked,
    RevokedKind,
    SignedRevocationOrder,
)
from sealflow.documents.tenant_token import MAX_LIFE_MS
from sealflow.errors import TenantRefusedError
from sealflow.owner import OwnerKey, TrustDomain
from sealflow.trusted.worker.serving.tenants import TenantLedger
from tests.support.trusted import tenants as worker_tenants
from tests.support.trusted.keybroker import (
    AUTHORITY,
    NOW_MS,
    OPERATOR,
    OTHER_OWNER,
    KeyBrokerInstance,
    error_code,
    keybroker_deployment,
    make_identity,
)
from tests.support.trusted.worker import Worker, negation_model, read_values

TOKEN, OTHER = "0a" * 16, "0b" * 16


def granted(broker: KeyBrokerInstance) -> frozenset[str]:
    """The tokens that the next grant of a worker names as revoked."""
    return broker.grant(make_identity(Role.WORKER)).revoked_tokens


def order(broker: KeyBrokerInstance, *ids: str, counter: int = NOW_MS + 1) -> dict[str, object]:
    """The authority's order to revoke tokens."""
    assert broker.leading is not None
    value = RevocationOrder(
        deployment="test",
        log_id=broker.leading.state_key.log_id,
        counter=counter,
        revoked=tuple(Revoked(kind=RevokedKind.TOKEN, id=each) for each in ids),
        signer=AUTHORITY.signer,
    )
    return SignedRevocationOrder.sign(value, AUTHORITY.signing, TrustDomain.SIMULATED).to_json()


def test_136_revoked() -> None:
    """From its next grant on a worker refuses the token, and no other one of the tenant."""
    broker = KeyBrokerInstance().lead()
    assert granted(broker) == frozenset()
    version = broker.directory.version
    assert "error" not in broker.revoke(RevokedKind.TOKEN, TOKEN)
    assert granted(broker) == {TOKEN}
    # A newer directory makes workers ask for a grant at once.
    assert broker.directory.version > version
    deployment = keybroker_deployment().deployment
    ledger = TenantLedger(deployment, 10, NOW_MS)
    times: dict[str, Any] = {"not_before_ms": NOW_MS, "expires_ms": NOW_MS + 1000}
    revoked = worker_tenants.make_token(key=AUTHORITY, id=TOKEN, **times)
    other = worker_tenants.make_token(key=AUTHORITY, id=OTHER, **times)
    ledger.admit({"tenant_token": revoked}, 1, NOW_MS)
    ledger.revoked = granted(broker)
    with pytest.raises(TenantRefusedError, match="revoked"):
        ledger.admit({"tenant_token": revoked}, 1, NOW_MS)
    ledger.admit({"tenant_token": other}, 1, NOW_MS)


def test_136_in_the_worker() -> None:
    """What a grant says reaches the check of requests."""
    model, good = negation_model(), worker_tenants.make_token(id=OTHER)
    calls = [
        worker_tenants.seal_for_tenant(model, each)
        for each in (good, worker_tenants.make_token(id=TOKEN))
    ]
    worker = Worker(tenants=worker_tenants.AUTHORITY.signer)
    worker.serve(model, revoked_tokens=[TOKEN])
    outside = worker.send(*(call.envelope for call in calls)).finish()
    assert read_values(outside.response(0, calls[0])) == [[-1, -2, -3, -4]]
    assert outside.error(1, calls[1])[0] == "tenant_refused"


def test_136_after_restarts() -> None:
    """A host that starts the key broker anew, or a worker, revives no token."""
    broker = KeyBrokerInstance().lead()
    broker.revoke(RevokedKind.TOKEN, TOKEN)
    after = broker.successor()
    assert granted(after) == {TOKEN}
    after.tick(1000 * keybroker_deployment().deployment.epoch_s)
    assert granted(after) == {TOKEN}


def test_136_an_older_order() -> None:
    """Orders only add, so an older one, sent again or late, takes nothing back."""
    broker = KeyBrokerInstance().lead()
    older, newer = order(broker, OTHER), order(broker, TOKEN, counter=NOW_MS + 2)
    assert "error" not in broker.ask("revoke", **newer)
    assert error_code(broker.ask("revoke", **older)) == "replayed"
    assert granted(broker) == {TOKEN}
    assert "error" not in broker.ask("revoke", **newer)
    assert granted(broker) == {TOKEN}
    assert error_code(broker.successor().ask("revoke", **older)) == "replayed"


@pytest.mark.parametrize(
    "key",
    [OPERATOR, OTHER_OWNER, OwnerKey.generate(TrustDomain.SIMULATED)],
    ids=["operator", "owner", "another authority"],
)
def test_137_of_somebody_else(key: OwnerKey) -> None:
    """Only the tenant authority revokes tokens, and nothing else."""
    broker = KeyBrokerInstance().lead()
    assert error_code(broker.revoke(RevokedKind.TOKEN, TOKEN, key=key)) == "not_allowed"
    assert granted(broker) == frozenset()
    for kind in (RevokedKind.WORKER, RevokedKind.GRANT):
        worker = make_identity(Role.WORKER)
        broker.grant(worker)
        assert error_code(broker.revoke(kind, worker.instance, key=AUTHORITY)) == "not_allowed"


def test_137_forged() -> None:
    """An order that was changed, or is of another deployment or history, does nothing."""
    broker = KeyBrokerInstance().lead()
    signed = order(broker, TOKEN)
    forged = {**signed, "signature": order(broker, OTHER)["signature"]}
    assert error_code(broker.ask("revoke", **forged)) == "order_signature"
    changes: tuple[tuple[dict[str, Any], str], ...] = (
        ({"deployment": "shop"}, "malformed"),
        ({"log_id": "ab" * 32}, "replayed"),
        ({"counter": NOW_MS + 2 * 86_400_000}, "malformed"),
    )
    for changed, code in changes:
        assert error_code(broker.revoke(RevokedKind.TOKEN, TOKEN, **changed)) == code
    assert granted(broker) == frozenset()


def test_137_oversized() -> None:
    """An order has a limit, and so has the list; what does not fit is refused whole."""
    broker = KeyBrokerInstance().lead()
    many = [f"{number:032x}" for number in range(MAX_REVOKED_TOKENS + 1)]
    assert error_code(broker.revoke(RevokedKind.TOKEN, *many[: MAX_ORDERED + 1])) == "malformed"
    for start in range(0, MAX_REVOKED_TOKENS, MAX_ORDERED):
        answer = broker.revoke(RevokedKind.TOKEN, *many[start : start + MAX_ORDERED])
        assert "error" not in answer
    assert error_code(broker.revoke(RevokedKind.TOKEN, many[-1])) == "full"
    assert granted(broker) == frozenset(many[:-1])
    assert granted(broker.successor()) == frozenset(many[:-1])
    # Others have room still.
    worker = make_identity(Role.WORKER)
    broker.grant(worker)
    assert "error" not in broker.revoke(RevokedKind.WORKER, worker.instance)


def test_137_room_again() -> None:
    """What is over in any case makes room, and not a moment before."""
    broker = KeyBrokerInstance().lead()
    many = [f"{number:032x}" for number in range(MAX_REVOKED_TOKENS)]
    for start in range(0, MAX_REVOKED_TOKENS, MAX_ORDERED):
        broker.revoke(RevokedKind.TOKEN, *many[start : start + MAX_ORDERED])
    broker.tick(MAX_LIFE_MS - 1)
    assert error_code(broker.revoke(RevokedKind.TOKEN, "ab" * 16)) == "full"
    broker.tick(1)
    assert "error" not in broker.revoke(RevokedKind.TOKEN, "ab" * 16)


def test_138_longer_than_it_is_remembered() -> None:
    """A token that would outlive the memory of its revocation is no token."""
    ledger = TenantLedger(keybroker_deployment().deployment, 10, NOW_MS)
    for more, served in ((0, True), (1, False)):
        token = worker_tenants.make_token(
            key=AUTHORITY, not_before_ms=NOW_MS, expires_ms=NOW_MS + MAX_LIFE_MS + more
        )
        sent = {"tenant_token": token}
        if served:
            ledger.admit(sent, 1, NOW_MS)
            continue
        with pytest.raises(TenantRefusedError, match="367 days"):
            ledger.admit(sent, 1, NOW_MS)
