"""CLI: `sealflow log` and `sealflow receipt`: fetches the log; checks and exports both offline."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealflow.cli.connection import connection_options
from sealflow.cli.owner.verifier import key_option, origin_option
from sealflow.cli.owner.witness import witness
from sealflow.cli.screen import (
    json_lines_option,
    json_option,
    print_json,
    print_table,
    warn_of_simulation,
)
from sealflow.errors import ConfigError
from sealflow.files import file_errors, read_file, write_file

if TYPE_CHECKING:
    from sealflow.cli.connection import Connection
    from sealflow.owner.audit.log_audit import AuditedLog
    from sealflow.owner.audit.receipt_proof import ReceiptProof, VerifiedReceipt


_FILE = click.Path(path_type=Path, dir_okay=False)
log_option = click.option(
    "--log",
    "log_file",
    type=_FILE,
    required=True,
    help="Copy of the key broker's log, which `sealflow log fetch` writes.",
)
policy_option = click.option(
    "--policy", type=_FILE, required=True, help="Policy for the key brokers that wrote the log."
)


@click.group()
def log() -> None:
    """Fetch, check and show the key broker's log.

    It holds all appraisals, grants, directories and revocations.
    """


log.add_command(witness)


@log.command()
@click.argument("file", type=_FILE)
@connection_options
@json_option
def fetch(file: Path, connection: Connection, *, as_json: bool) -> None:
    """Fetch the log to FILE and check it. If FILE exists, only new records are fetched."""
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
@click.option(
    "--policy", type=_FILE, required=True, help="Policy for the key brokers that wrote the log."
)
@click.option(
    "--pin", type=_FILE, help="Pin file of a client: check that its directory is in the log."
)
@json_option
def verify_log(file: Path, policy: Path, pin: Path | None, *, as_json: bool) -> None:
    """Check FILE offline: the hash chain, signatures, and evidence of the key brokers."""
    audited = audited_file(file, policy)
    if pin is not None:
        audited.require_pinned(pin)
    facts = {
        "verified": True,
        "simulated": audited.simulated,
        "records": len(audited.entries),
        "history": audited.log_id,
        "head": audited.head,
        "pinned_directory": "is in the log" if pin is not None else "not checked",
    }
    if as_json:
        print_json(facts)
        return
    warn_of_simulation(simulated=audited.simulated)
    for name in ("records", "history", "head", "pinned_directory"):
        click.echo(f"{name.replace('_', ' '):18} {facts[name]}")


@log.command()
@click.argument("file", type=_FILE)
@click.option(
    "--policy", type=_FILE, required=True, help="Policy for the key brokers that wrote the log."
)
@click.option("--kind", help="Show only entries of this kind, such as grant or revocation.")
@json_lines_option
def show(file: Path, policy: Path, kind: str | None, *, as_json: bool) -> None:
    """Check FILE, then list its entries."""
    from rich.table import Table
    from rich.text import Text

    from sealflow.owner.audit.log_audit import describe

    audited = audited_file(file, policy)
    chosen = [entry for entry in audited.entries if kind in (None, entry.kind.value)]
    if as_json:
        for entry in chosen:
            facts = {"number": entry.number, "at_ms": entry.at_ms, "kind": entry.kind.value}
            print_json({**facts, "body": entry.body})
        return
    warn_of_simulation(simulated=audited.simulated)
    table = Table()
    for heading in ("number", "time (UTC)", "kind", "content"):
        table.add_column(heading, overflow="fold")
    for entry in chosen:
        at = datetime.fromtimestamp(entry.at_ms / 1000, UTC)
        content = Text(describe(entry))
        table.add_row(str(entry.number), f"{at:%Y-%m-%d %H:%M:%S}", entry.kind.value, content)
    print_table(table)


@log.command()
@click.argument("file", type=_FILE)
@click.option(
    "--policy", type=_FILE, required=True, help="Policy for the key brokers that wrote the log."
)
@key_option
@origin_option
@click.option(
    "--out",
    type=_FILE,
    required=True,
    help="File to write the checkpoint to. One that is there is checked first.",
)
@json_option
def checkpoint(
    file: Path, policy: Path, key_file: Path, origin: str, out: Path, *, as_json: bool
) -> None:
    """Check FILE, then sign its size and Merkle root, for tools of transparency logs.

    The format is C2SP tlog-checkpoint. If --out has a checkpoint, the log must continue that of
    the checkpoint. The key must be of Ed25519.
    """
    from sealflow.owner.verifier import checkpoint as notes
    from sealflow.owner.verifier.verifier_key import load_verifier_key

    key, audited = load_verifier_key(key_file), audited_file(file, policy)
    made = notes.log_checkpoint(audited, origin)
    if out.exists():
        with file_errors(f"{out}: cannot read the checkpoint"):
            previous = notes.read_checkpoint(read_file(out, notes.MAX_NOTE_BYTES), key)
        notes.require_continued(previous, audited, origin)
    vkey, note = notes.verifier_key_text(made.origin, key), notes.sign_checkpoint(made, key)
    with file_errors(f"{out}: cannot write the checkpoint"):
        write_file(out, note.encode(), mode=0o644)
    if as_json:
        root = made.root.hex()
        print_json({"origin": made.origin, "size": made.size, "root": root, "vkey": vkey})
        return
    warn_of_simulation(simulated=audited.simulated)
    click.echo(f"{out}: checkpoint of {made.size} entries; tools check it with the key\n{vkey}")


@log.command()
@click.argument("file", type=_FILE)
@click.argument("number", type=click.IntRange(min=0))
@click.option(
    "--policy", type=_FILE, required=True, help="Policy for the key brokers that wrote the log."
)
@key_option
@origin_option
@click.option("--out", type=_FILE, required=True, help="File to write the receipt to.")
@json_option
def prove(
    file: Path,
    number: int,
    policy: Path,
    key_file: Path,
    origin: str,
    out: Path,
    *,
    as_json: bool,
) -> None:
    """Check FILE, then write a COSE Receipt: entry NUMBER is in the log.

    The receipt has the Merkle path from the entry's digest to the root, and signs the root.
    """
    from sealflow.owner.verifier.cose import inclusion_receipt
    from sealflow.owner.verifier.verifier_key import load_verifier_key

    key, audited = load_verifier_key(key_file), audited_file(file, policy)
    if number >= len(audited.digests):
        raise ConfigError(f"{file} has no entry {number}: the last is {len(audited.digests) - 1}")
    with file_errors(f"{out}: cannot write the receipt"):
        write_file(out, inclusion_receipt(audited, number, key, origin), mode=0o644)
    if as_json:
        print_json({"entry": number, "size": len(audited.digests), "leaf": audited.digests[number]})
        return
    warn_of_simulation(simulated=audited.simulated)
    click.echo(f"{out}: entry {number} of {len(audited.digests)}, leaf {audited.digests[number]}")


def read_records(file: Path) -> list[bytes]:
    """Return the records of a log file, which has one on each line.

    Raises: ConfigError.
    """
    with file_errors(f"{file}: cannot read the log"):
        return file.read_bytes().splitlines()


def audited_file(file: Path, policy: Path) -> AuditedLog:
    """Read and check a log file against a policy file.

    Raises: ConfigError, EvidenceError, PolicyError.
    """
    from sealflow.owner.audit.log_audit import audit_log
    from sealflow.owner.trust.policy_file import load_policy

    return audit_log(read_records(file), load_policy(policy))


@click.group()
def receipt() -> None:
    """Check and export receipts, which `sealflow infer --receipt FILE` asks for."""


@receipt.command("verify")
@click.argument("file", type=_FILE)
@log_option
@policy_option
@json_lines_option
def verify_one(file: Path, log_file: Path, policy: Path, *, as_json: bool) -> None:
    """Check every receipt in FILE offline.

    The log is checked first. For each receipt, the command then checks that the log grants the
    model and the key to the worker, that the worker signed the receipt, and that the receipt is
    about the request and the reply in FILE.
    """
    from sealflow.owner.audit.receipt_proof import verify_receipt

    audited = audited_file(log_file, policy)
    proofs = read_receipts(file)
    if not as_json:
        warn_of_simulation(simulated=audited.simulated)
    for proof in proofs:
        found = verify_receipt(proof, audited)
        if as_json:
            print_json(_receipt_json(found, simulated=audited.simulated))
        else:
            _print_receipt(found)


def read_receipts(file: Path) -> list[ReceiptProof]:
    """Return the receipts of a file, which has one on each line; nothing of them is checked.

    Raises: ConfigError, MalformedError.
    """
    from sealflow.owner.audit.receipt_proof import ReceiptProof

    with file_errors(f"{file}: cannot read the receipts"):
        lines = file.read_bytes().splitlines()
    if not lines:
        raise ConfigError(f"{file} has no receipts")
    return [ReceiptProof.from_bytes(line) for line in lines]


def _receipt_json(found: VerifiedReceipt, *, simulated: bool) -> dict[str, object]:
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
        f"which got the model by log entry {found.grant.number}"
    )
    for what, at_ms in found.revoked:
        click.echo(f"  later, on {utc_text(at_ms)}, its {what.kind} was revoked")


@receipt.command("export")
@click.argument("file", type=_FILE)
@log_option
@policy_option
@key_option
@origin_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder to write to: one file REQUEST-ID.cose for each receipt.",
)
@json_lines_option
def export(
    file: Path,
    log_file: Path,
    policy: Path,
    key_file: Path,
    origin: str,
    out: Path,
    *,
    as_json: bool,
) -> None:
    """Check every receipt in FILE, then write each as a signed statement in COSE.

    The headers are those of SCITT. The statement shows neither request nor reply. Its payload is
    the worker's receipt; your signature says that you checked it by the log.
    """
    from sealflow.owner.audit.receipt_proof import verify_receipt
    from sealflow.owner.verifier.cose import receipt_statement
    from sealflow.owner.verifier.verifier_key import load_verifier_key

    key, audited = load_verifier_key(key_file), audited_file(log_file, policy)
    if not as_json:
        warn_of_simulation(simulated=audited.simulated)
    for proof in read_receipts(file):
        found = verify_receipt(proof, audited)
        path = out / f"{found.receipt.request_id}.cose"
        with file_errors(f"{path}: cannot write the statement"):
            out.mkdir(parents=True, exist_ok=True)
            write_file(path, receipt_statement(proof.signed, audited, key, origin), mode=0o644)
        if as_json:
            print_json({"statement": str(path), "log_entry": found.grant.number})
        else:
            click.echo(f"{path}: vouched for by log entry {found.grant.number}")
