"""Owner, pure: checks records of what tenants used against the log, adds them up, says gaps.

A record is a worker's receipt, so it is checked as one. Spec: tenants.md, section 5.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from sealflow.clock import MAX_CLOCK_SKEW_MS
from sealflow.documents.log import EntryKind
from sealflow.documents.tenant_usage import TenantUsage, UsageRecord
from sealflow.errors import EvidenceError, MalformedError
from sealflow.owner.audit.receipt_proof import verify_receipt
from sealflow.seal.content import parse_content

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sealflow.owner.audit.log_audit import AuditedLog
    from sealflow.owner.audit.receipt_proof import ReceiptProof


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedUsage:
    """A record that the log vouches for: of which worker, and until when (Unix ms)."""

    instance: str
    at_ms: int
    record: UsageRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLease:
    """When a worker could serve, by the log's grants with models, in Unix ms."""

    first_ms: int
    until_ms: int
    models: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerUsage:
    """The newest record of a worker, None if there is none, and what it does not cover.

    `missed`: records before it that are not here; the newest one counts what they counted.
    `gap_ms`: from when until when the worker could serve without a record of it, or None.
    """

    instance: str
    newest: VerifiedUsage | None
    missed: int
    gap_ms: tuple[int, int] | None


def verify_usage(proof: ReceiptProof, log: AuditedLog) -> VerifiedUsage:
    """Check offline that an attested worker of this log's deployment signed a record.

    Raises: EvidenceError as `verify_receipt`, and `receipt_usage` if it is about something else.
    """
    receipt = verify_receipt(proof, log).receipt
    try:
        record = UsageRecord.from_content(parse_content(memoryview(proof.reply)))
    except MalformedError as error:
        raise EvidenceError("receipt_usage", str(error)) from error
    return VerifiedUsage(instance=receipt.instance, at_ms=receipt.at_ms, record=record)


def worker_leases(log: AuditedLog) -> Mapping[str, WorkerLease]:
    """Return when each worker could serve, by instance id."""
    found: dict[str, WorkerLease] = {}
    for entry in log.entries_of_kind(EntryKind.GRANT):
        instance, until_ms, models = (
            entry.body.get(name) for name in ("instance", "until_ms", "models")
        )
        if not isinstance(instance, str) or not isinstance(until_ms, int):
            continue
        if isinstance(models, list) and models:
            before = found.get(instance)
            found[instance] = WorkerLease(
                first_ms=entry.at_ms if before is None else before.first_ms,
                until_ms=max(until_ms, 0 if before is None else before.until_ms),
                models=frozenset(map(str, models)),
            )
    return found


def sum_usage(records: Iterable[VerifiedUsage]) -> list[TenantUsage]:
    """Return what each tenant used in all workers: from the newest record of each."""
    sums: dict[str, dict[str, int]] = {}
    for each in records:
        for used in each.record.tenants:
            total = sums.setdefault(used.tenant, dict.fromkeys(_COUNTS, 0))
            for name in _COUNTS:
                total[name] += getattr(used, name)
    return [TenantUsage(tenant=tenant, **sums[tenant]) for tenant in sorted(sums)]


def check_workers(
    records: Iterable[VerifiedUsage], log: AuditedLog, now_ms: int
) -> list[WorkerUsage]:
    """Return the state of each worker that has a record, or could serve by the log.

    Raises: EvidenceError `receipt_usage` if records of a worker contradict each other.
    """
    of_worker: dict[str, list[VerifiedUsage]] = defaultdict(list)
    for each in records:
        of_worker[each.instance].append(each)
    leases = worker_leases(log)
    found = []
    for instance in [*leases, *(each for each in of_worker if each not in leases)]:
        history = sorted(of_worker[instance], key=lambda each: each.record.sequence)
        _check_history(history)
        newest = history[-1] if history else None
        numbers = {each.record.sequence for each in history}
        lease = leases.get(instance)
        start_ms = 0 if newest is None else newest.at_ms
        if lease is not None:
            start_ms = max(start_ms, lease.first_ms)
        end_ms = 0 if lease is None else min(lease.until_ms, now_ms)
        open_end = newest is None or end_ms - start_ms > MAX_CLOCK_SKEW_MS
        found.append(
            WorkerUsage(
                instance=instance,
                newest=newest,
                missed=max(numbers, default=0) - len(numbers),
                gap_ms=(start_ms, max(start_ms, end_ms)) if open_end else None,
            )
        )
    return found


def _check_history(history: Sequence[VerifiedUsage]) -> None:
    for before, after in pairwise(history):
        if before == after:
            continue
        if before.record.sequence == after.record.sequence:
            problem = "has the number of another one"
        elif before.record.start_ms != after.record.start_ms or before.at_ms > after.at_ms:
            problem = "has times that contradict an earlier one"
        elif not _includes(after.record, before.record):
            problem = "counts less than an earlier one"
        else:
            continue
        detail = f"record {after.record.sequence} of worker {after.instance} {problem}: keep both"
        raise EvidenceError("receipt_usage", detail)


def _includes(after: UsageRecord, before: UsageRecord) -> bool:
    later = {each.tenant: each for each in after.tenants}
    return after.refused >= before.refused and all(
        each.tenant in later
        and all(getattr(later[each.tenant], name) >= getattr(each, name) for name in _COUNTS)
        for each in before.tenants
    )


_COUNTS = ("requests", "rows", "cpu_ms", "bytes", "refused")
