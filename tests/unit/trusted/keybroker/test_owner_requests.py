"""Owners and operators: each with rights of its own, none with another's."""

from __future__ import annotations

import dataclasses

from sealflow.attest.evidence import Role
from sealflow.attest.requirements import Requirements
from sealflow.documents.log import EntryKind
from sealflow.documents.revocation import (
    RevocationOrder,
    Revoked,
    RevokedKind,
    SignedRevocationOrder,
)
from sealflow.owner import OwnerKey
from sealflow.package.publication import requirements_digest
from sealflow.wire.domain import TrustDomain
from tests.support.trusted.keybroker import (
    NOW_MS,
    OPERATOR,
    OTHER_OWNER,
    KeyBrokerInstance,
    error_code,
    keybroker_deployment,
    make_identity,
)

STRANGER = OwnerKey.generate(TrustDomain.SIMULATED)
STRICTER = dataclasses.replace(keybroker_deployment().deployment.worker, min_svn=1)
IMPOSSIBLE = Requirements(measurements=frozenset({"0" * 64}))


def _models(broker: KeyBrokerInstance, owner: OwnerKey | None = None) -> set[str]:
    serves = None if owner is None else owner.signer
    return {model.ref.name for model in broker.grant(make_identity(Role.WORKER), serves).models}


def test_a_worker_gets_the_models_whose_owner_accepts_it() -> None:
    """What one owner demands is no other owner's business."""
    broker = KeyBrokerInstance().lead()
    broker.publish("open")
    broker.publish("strict", owner=OTHER_OWNER, workers=STRICTER)
    broker.publish("closed", owner=OTHER_OWNER, workers=IMPOSSIBLE)
    assert _models(broker) == {"open"}
    assert _models(broker, OTHER_OWNER) == {"strict"}
    listed = {model.name: (model.owner, model.workers) for model in broker.directory.models}
    assert listed == {
        "open": (keybroker_deployment().owner.signer, None),
        "strict": (OTHER_OWNER.signer, requirements_digest(STRICTER)),
        "closed": (OTHER_OWNER.signer, requirements_digest(IMPOSSIBLE)),
    }
    grants = list(broker.log().entries_of_kind(EntryKind.GRANT))
    assert [len(entry.body["models"]) for entry in grants] == [1, 1]  # type: ignore[arg-type]
    assert [entry.body["serves"] for entry in grants] == [
        keybroker_deployment().owner.signer,
        OTHER_OWNER.signer,
    ]


def test_an_owner_changes_its_demands_and_old_ones_do_not_come_back() -> None:
    """The later publication of a package counts, whatever the host repeats."""
    broker = KeyBrokerInstance().lead()
    broker.publish("m", issued_ms=NOW_MS)
    broker.publish("m", workers=IMPOSSIBLE, issued_ms=NOW_MS + 1)
    assert _models(broker) == set()
    assert error_code(broker.publish("m", issued_ms=NOW_MS)) == "replayed"
    assert _models(broker) == set()


def test_demands_of_other_hardware_are_refused() -> None:
    """They could never be met, or mean something else."""
    broker = KeyBrokerInstance().lead()
    assert error_code(broker.ask("publish", sealed="AA==")) == "not_opened"
    assert error_code(broker.publish("m", owner=STRANGER)) == "not_an_owner"
    assert broker.directory.models == ()


def test_who_may_revoke_what() -> None:
    """Owners their own models and grants, operators workers, keys and models, strangers nothing."""
    broker = KeyBrokerInstance().lead()
    digest = broker.publish("m")["digest"]
    worker = make_identity(Role.WORKER)
    broker.grant(worker)
    kid = broker.directory.keys[-1].kid
    for kind, name, key in (
        (RevokedKind.MODEL, digest, OTHER_OWNER),
        (RevokedKind.MODEL, digest, STRANGER),
        (RevokedKind.KEY, kid, STRANGER),
        (RevokedKind.KEY, kid, OTHER_OWNER),
        (RevokedKind.WORKER, worker.instance, STRANGER),
        (RevokedKind.WORKER, worker.instance, OTHER_OWNER),
        (RevokedKind.GRANT, worker.instance, OPERATOR),
        (RevokedKind.GRANT, worker.instance, STRANGER),
    ):
        assert error_code(broker.revoke(kind, name, key=key)) == "not_allowed"
    assert broker.directory.revoked == ()
    assert "error" not in broker.revoke(RevokedKind.KEY, kid)
    assert "error" not in broker.revoke(RevokedKind.MODEL, digest)
    assert error_code(broker.publish("m")) == "revoked"
    assert _models(broker) == set()


def test_an_order_that_comes_twice_changes_nothing() -> None:
    """A host can repeat it as often as it likes."""
    broker = KeyBrokerInstance().lead()
    worker = make_identity(Role.WORKER)
    broker.grant(worker)
    broker.revoke(RevokedKind.WORKER, worker.instance)
    version, records = broker.directory.version, len(broker.records)
    assert broker.revoke(RevokedKind.WORKER, worker.instance)["version"] == version
    assert len(broker.records) == records


def test_a_forged_order_is_refused() -> None:
    """Its signature is over what it revokes, where, and who says so."""
    broker = KeyBrokerInstance().lead()
    target = Revoked(kind=RevokedKind.WORKER, id="ab" * 16)
    order = RevocationOrder(
        deployment="test",
        log_id=broker.directory.log_id,
        counter=NOW_MS,
        revoked=(target,),
        signer=OPERATOR.signer,
    )
    forged = SignedRevocationOrder.sign(order, STRANGER.signing, TrustDomain.SIMULATED)
    assert error_code(broker.ask("revoke", **forged.to_json())) == "order_signature"
    elsewhere = dataclasses.replace(order, deployment="other")
    signed = SignedRevocationOrder.sign(elsewhere, OPERATOR.signing, TrustDomain.SIMULATED)
    assert error_code(broker.ask("revoke", **signed.to_json())) == "malformed"
    answer = broker.ask("revoke", order="e30=", signature="AA==")
    assert error_code(answer) == "malformed"
    assert error_code(broker.ask("revoke", order="AA==", signature=1)) == "malformed"


def test_refusals_do_not_fill_the_log() -> None:
    """Strangers may ask as often as they like; the next directory says how many were left out."""
    broker = KeyBrokerInstance().lead()
    other = make_identity(Role.KEY_BROKER)
    for _ in range(70):
        assert error_code(broker.enroll(other)) == "policy"
    verdicts = list(broker.log().entries_of_kind(EntryKind.VERDICT))
    assert len(verdicts) == 64
    broker.tick(1000 * keybroker_deployment().deployment.directory_s)
    *_, last = broker.log().entries_of_kind(EntryKind.VERDICT)
    assert last.number == verdicts[-1].number + 1
    assert last.body == {"approved": False, "codes": [], "unlogged_refusals": 6}


def test_fresh_evidence_is_given_for_a_nonce() -> None:
    """An owner that asks with its own nonce gets evidence with that nonce."""
    broker = KeyBrokerInstance().lead()
    answer = broker.ask("evidence", nonce="ab" * 32)
    assert set(answer) == {"evidence"}
    assert error_code(broker.ask("evidence", nonce="short")) == "malformed"
    assert error_code(broker.ask("evidence")) == "malformed"
    assert error_code(broker.ask("nothing")) == "unknown_op"
