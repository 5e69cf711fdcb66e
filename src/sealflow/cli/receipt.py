"""CLI: `sealflow receipt`: check what a worker signed, offline, also years later."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealflow.cli.log import audited_file
from sealflow.cli.screen import print_json, warn_of_simulation
from sealflow.errors import ConfigError

if TYPE_CHECKING:
    from sealflow.owner.audit.receipt_proof import VerifiedReceipt

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def receipt() -> None:
    """Check receipts; `sealflow infer --receipt FILE` asks for them."""


@receipt.command()
@click.argument("file", type=_FILE)
@click.option("--log", "log_file", type=_FILE, required=True, help="From `sealflow log fetch`.")
@click.option("--policy", type=_FILE, required=True, help="Whom to trust.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def verify(file: Path, log_file: Path, policy: Path, *, as_json: bool) -> None:
    """Check every receipt in FILE, without a network.

    The log is checked first; then that it gave this worker this model and key, that the worker
    signed, and that request and reply in FILE are the ones that it signed for.
    """
    from sealflow.owner.audit.receipt_proof import Proof, verify_receipt

    audited = audited_file(log_file, policy)
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise ConfigError(f"{file}: cannot read the receipts: {error.strerror}") from error
    if not lines:
        raise ConfigError(f"{file} has no receipts")
    if not as_json:
        warn_of_simulation(simulated=audited.simulated)
    for line in lines:
        found = verify_receipt(Proof.parse(line), audited)
        if as_json:
            print_json(_as_json(found, simulated=audited.simulated))
        else:
            _say(found)


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
        "revoked_later": [{**what.as_json(), "at_ms": at_ms} for what, at_ms in found.revoked],
    }


def _say(found: VerifiedReceipt) -> None:
    given = found.receipt
    click.echo(
        f"genuine: {given.model} (package {given.model_digest[:16]}…) of {given.deployment} "
        f"answered on {_when(given.at_ms)} UTC in worker {given.instance[:16]}…, "
        f"granted in log entry {found.grant.number}"
    )
    for what, at_ms in found.revoked:
        click.echo(f"  later, on {_when(at_ms)}, its {what.kind} was revoked")


def _when(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"
