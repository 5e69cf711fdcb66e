"""Attacks on records of what tenants used: rows 133 to 135 of docs/threat-model.md."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.attest.evidence import Role
from sealflow.documents.receipt import SignedReceipt, salted_digest
from sealflow.documents.tenant_usage import (
    MAX_TENANTS,
    UsageOrder,
    UsageRecord,
    order_parts,
    parse_order_text,
)
from sealflow.errors import EvidenceError, MalformedError, QuotaExceededError, TenantRefusedError
from sealflow.owner import OwnerKey, ReceiptProof, TrustDomain
from sealflow.owner.audit.usage_proof import (
    VerifiedUsage,
    check_workers,
    sum_usage,
    verify_usage,
    worker_leases,
)
from sealflow.owner.client.result import read_result
from sealflow.seal.content import ContentKind, content_parts, parse_content, parse_error
from sealflow.trusted.worker.serving.tenants import TenantLedger
from sealflow.wire.envelope import Envelope
from tests.support.sealing.receipts import ReceiptService
from tests.support.trusted import tenants as worker_tenants
from tests.support.trusted.keybroker import (
    AUTHORITY,
    NOW_MS,
    OTHER_OWNER,
    KeyBrokerInstance,
    keybroker_deployment,
    make_identity,
)
from tests.support.trusted.worker import DEADLINE_MS, SESSION, Worker, negation_model
from tests.support.trusted.worker import NOW_MS as WORKER_NOW_MS

if TYPE_CHECKING:
    from sealflow.owner import AuditedLog
    from sealflow.seal.content import Content

HOUR_MS = 3_600_000


def order(key: OwnerKey = AUTHORITY, **changes: Any) -> str:
    """An order for a record, of now."""
    values = {"deployment": "test", "not_before_ms": NOW_MS - 1, "expires_ms": NOW_MS + 1}
    return UsageOrder(**{**values, **changes}).sign(key.signing, key.domain)


def token(tenant: str, **changes: Any) -> str:
    """A tenant's token."""
    times = {"not_before_ms": NOW_MS - 1, "expires_ms": NOW_MS + HOUR_MS}
    return worker_tenants.make_token(tenant, AUTHORITY, **{**times, **changes})


class UsageService(ReceiptService):
    """A worker with tenants, and the authority that asks it for records."""

    def __init__(self) -> None:
        """Start it."""
        super().__init__()
        deployment = keybroker_deployment().deployment
        self.ledger = TenantLedger(deployment, 10, NOW_MS)

    def serve(self, tenant: str, times: int = 1) -> None:
        """Have a tenant use the worker."""
        for _ in range(times):
            account = self.ledger.admit({"tenant_token": token(tenant)}, 100, NOW_MS)
            self.ledger.charge(account, 2, 0.003, done=True)

    def record(self) -> ReceiptProof:
        """The worker's next record."""

        def answer(content: Content) -> Any:
            return self.ledger.report(parse_order_text(content), NOW_MS).parts()

        proof, _ = self.exchange(parts=order_parts(order()), answer=answer)
        assert proof is not None
        return proof


@cache
def history() -> tuple[UsageService, tuple[ReceiptProof, ...], AuditedLog]:
    """A service, four records of its worker, and its log."""
    service = UsageService()
    proofs = []
    for number in range(4):
        service.serve("alice", 3)
        service.serve("bob", number)
        service.clock.advance(NOW_MS + 1000 * number)
        proofs.append(service.record())
    return service, tuple(proofs), service.broker.log()


def verified() -> list[VerifiedUsage]:
    """The four records, checked."""
    _, proofs, log = history()
    return [verify_usage(proof, log) for proof in proofs]


def refused(proof: ReceiptProof) -> str:
    """Why a record is refused."""
    with pytest.raises(EvidenceError) as caught:
        verify_usage(proof, history()[2])
    return caught.value.code


def contradiction(*records: VerifiedUsage) -> str:
    """Why records together are refused."""
    with pytest.raises(EvidenceError) as caught:
        check_workers(records, history()[2], NOW_MS)
    return caught.value.code


def test_133_genuine_records() -> None:
    """The newest record of a worker says what all of its tenants used."""
    records = verified()
    (worker,) = check_workers(records, history()[2], NOW_MS + 1000)
    assert worker.newest == records[-1]
    assert (worker.missed, worker.gap_ms) == (0, None)
    alice, bob = sum_usage([records[-1]])
    assert dataclasses.asdict(alice) == {
        "tenant": "alice", "requests": 12, "rows": 24, "cpu_ms": 36, "bytes": 1200, "refused": 0,
    }  # fmt: skip
    assert (bob.tenant, bob.requests) == ("bob", 6)
    twice = dataclasses.replace(records[-1], instance="ab" * 16)
    assert sum_usage([records[-1], twice])[0].requests == 24


def test_133_dropped() -> None:
    """A host that drops records loses none of the use, and the numbers show it."""
    records = verified()
    (worker,) = check_workers([records[0], records[3]], history()[2], NOW_MS)
    assert worker.missed == 2
    assert worker.newest == records[3]
    (worker,) = check_workers(records[3:], history()[2], NOW_MS)
    assert worker.missed == 3
    late_ms = NOW_MS + HOUR_MS
    (worker,) = check_workers(records, history()[2], late_ms)
    until_ms = worker_leases(history()[2])[worker.instance].until_ms
    assert worker.gap_ms == (records[-1].at_ms, min(late_ms, until_ms))
    (worker,) = check_workers([], history()[2], NOW_MS + 1000)
    assert worker.gap_ms == (NOW_MS, NOW_MS + 1000)


def test_133_a_worker_without_models() -> None:
    """It can serve nobody, so its silence is no gap."""
    broker = KeyBrokerInstance().lead()
    broker.grant(make_identity(Role.WORKER))
    assert check_workers([], broker.log(), NOW_MS) == []


def test_133_replayed() -> None:
    """An old record in place of a new one is a gap, and beside it changes nothing."""
    records = verified()
    assert check_workers([*records, records[0]], history()[2], NOW_MS) == check_workers(
        records, history()[2], NOW_MS
    )
    (worker,) = check_workers([records[0]] * 3, history()[2], NOW_MS + HOUR_MS)
    assert worker.gap_ms is not None
    assert (worker.newest, worker.missed) == (records[0], 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"sequence": 2},
        {"start_ms": 5},
        {"refused": -1},
        {"tenants": ()},
        {"tenants": "less"},
    ],
    ids=str,
)
def test_133_records_that_contradict_each_other(changes: dict[str, Any]) -> None:
    """A worker that was started with an old memory cannot hide what it counted."""
    second, third = verified()[1:3]
    if changes.get("tenants") == "less":
        fewer = [dataclasses.replace(each, rows=each.rows - 9) for each in third.record.tenants]
        changes = {"tenants": tuple(fewer)}
    bent = dataclasses.replace(third, record=dataclasses.replace(third.record, **changes))
    assert contradiction(second, bent) == "receipt_usage"
    assert contradiction(bent, second) == "receipt_usage"


def test_133_time_that_went_back() -> None:
    """A later record is not of an earlier time."""
    second, third = verified()[1:3]
    bent = dataclasses.replace(third, at_ms=second.at_ms - 1)
    assert contradiction(second, bent) == "receipt_usage"


def forge(text: bytes, **changes: Any) -> ReceiptProof:
    """A record of the host's making, with a receipt that fits it."""
    proof = history()[1][0]
    reply = b"".join(content_parts(changes.pop("kind", ContentKind.USAGE), text))
    worker = changes.pop("worker", make_identity(Role.WORKER))
    receipt = proof.unverified_receipt(TrustDomain.SIMULATED)
    digest = salted_digest(TrustDomain.SIMULATED, "reply", proof.salt, [reply])
    receipt = dataclasses.replace(receipt, reply_digest=digest, **changes)
    signed = SignedReceipt.sign(receipt, worker.signing, TrustDomain.SIMULATED)
    return dataclasses.replace(proof, signed=signed, reply=reply)


def record_text() -> bytes:
    """What the first record says."""
    return bytes(parse_content(memoryview(history()[1][0].reply)).text).rstrip()


def test_134_forged() -> None:
    """A host has no key of a worker that the log knows."""
    assert refused(forge(record_text())) == "receipt_signature"
    stranger = make_identity(Role.WORKER)
    forged = forge(record_text(), worker=stranger, instance=stranger.instance)
    assert refused(forged) == "receipt_worker"


def test_134_tenants_swapped() -> None:
    """What one tenant used cannot be put on another's bill."""
    proof = history()[1][1]
    swapped = (
        proof.reply.replace(b'"alice"', b'"X"')
        .replace(b'"bob"', b'"alice"')
        .replace(b'"X"', b'"bob"')
    )
    assert swapped != proof.reply
    assert refused(dataclasses.replace(proof, reply=swapped)) == "receipt_content"


def test_134_of_another_request() -> None:
    """Receipt and contents belong together."""
    first, second = history()[1][:2]
    assert refused(dataclasses.replace(first, reply=second.reply)) == "receipt_content"
    assert refused(dataclasses.replace(first, signed=second.signed)) == "receipt_content"


def test_134_an_answer_of_a_model() -> None:
    """What a model writes is of another kind, whatever it says."""
    worker = history()[0].worker
    assert verify_usage(forge(record_text(), worker=worker), history()[2]).record.sequence == 1
    for kind in (ContentKind.INFER, ContentKind.ERROR):
        assert refused(forge(record_text(), worker=worker, kind=kind)) == "receipt_usage"
    assert refused(forge(b"{}", worker=worker)) == "receipt_usage"


def test_134_a_record_is_no_answer() -> None:
    """A client that asked for an inference takes no record for it."""
    _, proofs, _ = history()
    content = parse_content(memoryview(proofs[0].reply))
    receipt = proofs[0].unverified_receipt(TrustDomain.SIMULATED)
    header: Any = None
    with pytest.raises(MalformedError, match="USAGE"):
        read_result(receipt.model, header, content, outputs=())


HARDWARE = OwnerKey(
    domain=TrustDomain.HARDWARE,
    signing_seed=AUTHORITY.signing_seed,
    sealing_seed=AUTHORITY.sealing_seed,
)
BAD_ORDERS = {
    "empty": "",
    "another key": order(OTHER_OWNER),
    "another trust domain": order(HARDWARE),
    "another deployment": order(deployment="shop"),
    "over": order(expires_ms=NOW_MS),
    "early": order(not_before_ms=NOW_MS + 1),
    "a token": token("alice"),
    "long": order() + "A" * 2048,
}


@pytest.mark.parametrize("bad", BAD_ORDERS.values(), ids=BAD_ORDERS)
def test_135_orders(bad: str) -> None:
    """Only the authority learns who used what."""
    service = UsageService()
    assert service.ledger.report(order(), NOW_MS).sequence == 1
    with pytest.raises(TenantRefusedError):
        service.ledger.report(bad, NOW_MS)
    assert service.ledger.report(order(), NOW_MS).sequence == 2


def test_135_an_order_is_no_token() -> None:
    """The authority's order lets nobody in."""
    with pytest.raises(TenantRefusedError):
        UsageService().ledger.admit({"tenant_token": order()}, 1, NOW_MS)


def test_135_no_tenants() -> None:
    """A deployment without tenants has no records, whoever asks."""
    deployment = dataclasses.replace(keybroker_deployment().deployment, tenants=None)
    with pytest.raises(TenantRefusedError):
        TenantLedger(deployment, 10, NOW_MS).report(order(), NOW_MS)


def ask_worker(text: Any, **worker: Any) -> Content:
    """What a worker that serves tenants answers to a sealed order."""
    model, parts = negation_model(), order_parts(text)
    call = SESSION.seal_request(model.ref, model.digest, parts, deadline_ms=DEADLINE_MS)
    running = Worker(**{"tenants": AUTHORITY.signer, **worker}).serve(model)
    outside = running.send(call.envelope).finish()
    reply = Envelope.from_bytes(outside.replies[0], max_body_bytes=2**20)
    return call.open_reply(reply)[1]


def test_135_through_the_seal() -> None:
    """The order travels as a request, and the answer tells a host neither names nor numbers."""
    times: dict[str, Any] = {
        "not_before_ms": WORKER_NOW_MS - 1,
        "expires_ms": WORKER_NOW_MS + 1,
    }
    found = UsageRecord.from_content(ask_worker(order(**times)))
    assert (found.sequence, found.start_ms, found.tenants) == (1, WORKER_NOW_MS, ())
    for bad in (order(), order(OTHER_OWNER, **times)):
        assert parse_error(ask_worker(bad))[0] == "tenant_refused"
    for malformed in ("x" * 5000, 7, None):
        assert parse_error(ask_worker(malformed))[0] == "invalid_input"
    assert parse_error(ask_worker(order(**times), tenants=None))[0] == "tenant_refused"


def test_135_length() -> None:
    """Records of few tenants are all of one length, later ones of powers of two."""
    ledger, lengths = UsageService().ledger, set()
    for number in range(100):
        ledger.admit({"tenant_token": token(f"tenant-{number}", id=f"{number:032x}")}, 1, NOW_MS)
        lengths.add(sum(map(len, ledger.report(order(), NOW_MS).parts())))
    assert lengths == {4096, 8192}


def test_135_refusals_are_counted() -> None:
    """Also what was not served: of a tenant, and of nobody's token."""
    ledger = UsageService().ledger
    few = token("alice", requests=1)
    ledger.admit({"tenant_token": few}, 1, NOW_MS)
    with pytest.raises(QuotaExceededError):
        ledger.admit({"tenant_token": few}, 1, NOW_MS)
    with pytest.raises(TenantRefusedError):
        ledger.admit({}, 1, NOW_MS)
    record = ledger.report(order(), NOW_MS)
    assert (record.refused, record.tenants[0].refused, record.tenants[0].requests) == (1, 1, 1)


def test_135_more_tenants_than_a_worker_counts() -> None:
    """A record stays within what its reader takes."""
    ledger = UsageService().ledger
    for number in range(MAX_TENANTS):
        ledger.admit({"tenant_token": token(f"t{number}", id=f"{number:032x}")}, 1, NOW_MS)
    with pytest.raises(QuotaExceededError):
        ledger.admit({"tenant_token": token("one-more")}, 1, NOW_MS)
    content = parse_content(memoryview(b"".join(ledger.report(order(), NOW_MS).parts())))
    assert len(UsageRecord.from_content(content).tenants) == MAX_TENANTS
