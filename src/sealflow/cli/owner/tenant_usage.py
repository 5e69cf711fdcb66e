"""CLI: `sealflow tenants usage`: fetches, checks and adds up workers' records of use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealflow.cli.connection import connection_options
from sealflow.cli.screen import json_option, print_json, print_table, warn_of_simulation
from sealflow.files import file_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealflow.cli.connection import Connection
    from sealflow.documents.tenant_usage import TenantUsage
    from sealflow.owner.audit.receipt_proof import ReceiptProof
    from sealflow.owner.audit.usage_proof import WorkerUsage

_FILE = click.Path(path_type=Path, dir_okay=False)
_COUNTS = ("requests", "rows", "cpu_ms", "bytes", "refused")
authority_option = click.option(
    "--key", type=_FILE, help="The authority's key.  [default: tenants.key in --home]"
)


def authority_path(key: Path | None, home: Path) -> Path:
    """Return the path of the authority's key."""
    from sealflow.local.home import ClusterHome

    return key or ClusterHome(home).tenants_key


@click.command("usage")
@authority_option
@click.option(
    "--records",
    type=_FILE,
    help="File that keeps the records, signed by workers.  [default: usage.jsonl beside --key]",
)
@connection_options
@json_option
def show_usage(
    key: Path | None, records: Path | None, connection: Connection, *, as_json: bool
) -> None:
    """Ask all workers what each tenant used since they started, check it, and add it up.

    Each record is signed by its worker and checked by the key broker's log. What a worker may have
    served without a record of it is shown as a gap.
    """
    from sealflow.clock import now_ms
    from sealflow.owner.audit.log_audit import audit_log
    from sealflow.owner.audit.usage_proof import check_workers, sum_usage, verify_usage
    from sealflow.owner.client.usage import UsageCollector
    from sealflow.owner.models.owner_key import load_owner_key
    from sealflow.owner.trust.policy_file import load_policy

    path = authority_path(key, connection.home)
    file, policy = records or path.with_name("usage.jsonl"), load_policy(connection.policy)
    kept = _read(file)
    with UsageCollector(connection.url, policy, ca=connection.ca, pin=connection.pin) as collector:
        new = collector.collect(load_owner_key(path))
        log = audit_log(collector.fetch_log(), policy)
    log.require_pinned(connection.pin)
    _append(file, new)
    verified = [verify_usage(proof, log) for proof in (*kept, *new)]
    workers = check_workers(verified, log, now_ms())
    usage = sum_usage(each.newest for each in workers if each.newest is not None)
    if as_json:
        print_json(_to_json(usage, workers, simulated=log.simulated))
    else:
        warn_of_simulation(simulated=log.simulated)
        _print(usage, workers)


def _read(file: Path) -> list[ReceiptProof]:
    from sealflow.cli.owner.audit import read_receipts

    return read_receipts(file) if file.exists() and file.stat().st_size else []


def _append(file: Path, proofs: Sequence[ReceiptProof]) -> None:
    with file_errors(f"{file}: cannot write the records"):
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.writelines(proof.to_bytes() + b"\n" for proof in proofs)


def _to_json(
    usage: Sequence[TenantUsage], workers: Sequence[WorkerUsage], *, simulated: bool
) -> dict[str, object]:
    return {
        "simulated": simulated,
        "complete": all(each.gap_ms is None for each in workers),
        "tenants": [{name: getattr(each, name) for name in ("tenant", *_COUNTS)} for each in usage],
        "workers": [
            {
                "instance": each.instance,
                "sequence": None if each.newest is None else each.newest.record.sequence,
                "start_ms": None if each.newest is None else each.newest.record.start_ms,
                "end_ms": None if each.newest is None else each.newest.at_ms,
                "refused": None if each.newest is None else each.newest.record.refused,
                "missed": each.missed,
                "gap_ms": each.gap_ms,
            }
            for each in workers
        ],
    }


def _print(usage: Sequence[TenantUsage], workers: Sequence[WorkerUsage]) -> None:
    from rich.table import Table

    from sealflow.clock import utc_text

    table = Table("tenant", *_COUNTS, box=None)
    for used in usage:
        table.add_row(used.tenant, *(str(getattr(used, name)) for name in _COUNTS))
    print_table(table)
    table = Table("worker", "record", "from", "until", "not received", "gap", box=None)
    for each in workers:
        gap = "" if each.gap_ms is None else " to ".join(map(utc_text, each.gap_ms))
        if each.newest is None:
            table.add_row(each.instance[:16], "none", "", "", "", gap)
            continue
        record = each.newest.record
        times = utc_text(record.start_ms), utc_text(each.newest.at_ms)
        table.add_row(each.instance[:16], str(record.sequence), *times, str(each.missed), gap)
    print_table(table)
    if any(each.gap_ms is not None for each in workers):
        click.echo("Not complete: workers may have served in the gaps. Ask again, and more often.")
