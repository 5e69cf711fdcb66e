"""CLI: `sealflow log` and `sealflow receipt`: logs and receipts, checked offline."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealflow.cli.connection import connection_options
from sealflow.cli.screen import (
    json_lines_option,
    json_option,
    print_json,
    print_table,
    warn_of_simulation,
)
from sealflow.errors import ConfigError
from sealflow.files import file_errors

if TYPE_CHECKING:
    from sealflow.cli.connection import Connection
    from sealflow.owner.audit.log_audit import AuditedLog
    from sealflow.owner.audit.receipt_proof import VerifiedReceipt


_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def log() -> None:
    """Fetch, check and show the log of all verdicts, grants, directories and revocations."""


@log.command()
@click.argument("file", type=_FILE)
@connection_options
@json_option
def fetch(file: Path, connection: Connection, *, as_json: bool) -> None:
    """Append what is new to FILE, a copy of the whole log, and check all of it."""
    from sealflow.owner.audit.log_audit import audit_log
    from sealflow.owner.trust.policy_file import load_policy

    have = read_records(file) if file.exists() else []
    with connection.client() as client:
        new = client.fetch_log(len(have))
    audited = audit_log([*have, *new], load_policy(connection.policy))
    with file_errors(f"{file}: cannot write the log"), file.open("ab") as out:
        out.writelines(record + b"\n" for record in new)
    if as_json:
        print_json({"new": len(new), "records": len(audited.entries), "head": audited.head})
    else:
        click.echo(f"{len(new)} new records, {len(audited.entries)} in all; head {audited.head}")


@log.command("verify")
@click.argument("file", type=_FILE)
@click.option("--policy", type=_FILE, required=True, help="Who may have written it.")
@click.option("--pin", type=_FILE, help="A client's pin: check that its directory is in the log.")
@json_option
def verify_log(file: Path, policy: Path, pin: Path | None, *, as_json: bool) -> None:
    """Check FILE offline: chain, signatures, and the evidence of who wrote it."""
    audited = audited_file(file, policy)
    if pin is not None:
        audited.require_pinned(pin)
    facts = {
        "verified": True,
        "simulated": audited.simulated,
        "records": len(audited.entries),
        "history": audited.log_id,
        "head": audited.head,
        "pinned_directory": "is in the log" if pin is not None else "not asked for",
    }
    if as_json:
        print_json(facts)
        return
    warn_of_simulation(simulated=audited.simulated)
    for name in ("records", "history", "head", "pinned_directory"):
        click.echo(f"{name.replace('_', ' '):18} {facts[name]}")


@log.command()
@click.argument("file", type=_FILE)
@click.option("--policy", type=_FILE, required=True, help="Who may have written it.")
@click.option("--kind", help="Only entries of one kind, such as grant or revocation.")
@json_lines_option
def show(file: Path, policy: Path, kind: str | None, *, as_json: bool) -> None:
    """Check FILE, then list its entries."""
    from rich.table import Table
    from rich.text import Text

    from sealflow.owner.audit.log_audit import describe

    audited = audited_file(file, policy)
    wanted = [entry for entry in audited.entries if kind in (None, entry.kind.value)]
    if as_json:
        for entry in wanted:
            facts = {"number": entry.number, "at_ms": entry.at_ms, "kind": entry.kind.value}
            print_json({**facts, "body": entry.body})
        return
    warn_of_simulation(simulated=audited.simulated)
    table = Table()
    for heading in ("number", "time (UTC)", "kind", "what"):
        table.add_column(heading, overflow="fold")
    for entry in wanted:
        at = datetime.fromtimestamp(entry.at_ms / 1000, UTC)
        what = Text(describe(entry))
        table.add_row(str(entry.number), f"{at:%Y-%m-%d %H:%M:%S}", entry.kind.value, what)
    print_table(table)


def read_records(file: Path) -> list[bytes]:
    """Read a log file: one record a line.

    Raises: ConfigError.
    """
    with file_errors(f"{file}: cannot read the log"):
        return file.read_bytes().splitlines()


def audited_file(file: Path, policy: Path) -> AuditedLog:
    """Read a log file and check all of it.

    Raises: ConfigError, EvidenceError, PolicyError.
    """
    from sealflow.owner.audit.log_audit import audit_log
    from sealflow.owner.trust.policy_file import load_policy

    return audit_log(read_records(file), load_policy(policy))


@click.group()
def receipt() -> None:
    """Check receipts; `sealflow infer --receipt FILE` asks for them."""


@receipt.command("verify")
@click.argument("file", type=_FILE)
@click.option("--log", "log_file", type=_FILE, required=True, help="From `sealflow log fetch`.")
@click.option("--policy", type=_FILE, required=True, help="Whom to trust.")
@json_lines_option
def verify_one(file: Path, log_file: Path, policy: Path, *, as_json: bool) -> None:
    """Check every receipt in FILE, without a network.

    The log is checked first; then that it gave this worker this model and key, that the worker
    signed, and that request and reply in FILE are the ones that it signed for.
    """
    from sealflow.owner.audit.receipt_proof import ReceiptProof, verify_receipt

    audited = audited_file(log_file, policy)
    with file_errors(f"{file}: cannot read the receipts"):
        lines = file.read_bytes().splitlines()
    if not lines:
        raise ConfigError(f"{file} has no receipts")
    if not as_json:
        warn_of_simulation(simulated=audited.simulated)
    for line in lines:
        found = verify_receipt(ReceiptProof.from_bytes(line), audited)
        if as_json:
            print_json(_as_json(found, simulated=audited.simulated))
        else:
            _print_receipt(found)


def _as_json(found: VerifiedReceipt, *, simulated: bool) -> dict[str, object]:
    given = found.receipt
    return {
        "verified": True,
        "simulated": simulated,
        "deployment": given.deployment,
        "model": str(given.model),
        "model_digest": given.model_digest,
        "worker": given.instance,
        "key": given.key_id,
        "request_id": given.request_id,
        "at_ms": given.at_ms,
        "log_entry": found.grant.number,
        "revoked_later": [{**what.to_json(), "at_ms": at_ms} for what, at_ms in found.revoked],
    }


def _print_receipt(found: VerifiedReceipt) -> None:
    from sealflow.clock import utc_text

    given = found.receipt
    click.echo(
        f"genuine: {given.model} (package {given.model_digest[:16]}…) of {given.deployment} "
        f"answered on {utc_text(given.at_ms)} in worker {given.instance[:16]}…, "
        f"granted in log entry {found.grant.number}"
    )
    for what, at_ms in found.revoked:
        click.echo(f"  later, on {utc_text(at_ms)}, its {what.kind} was revoked")
