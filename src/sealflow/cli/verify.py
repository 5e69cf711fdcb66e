"""CLI: `sealflow verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sealflow.cli.connection import connection_options
from sealflow.cli.screen import print_json, print_table, warn_of_simulation

if TYPE_CHECKING:
    from sealflow.cli.connection import Connection
    from sealflow.owner.trust import TrustReport


@click.command()
@connection_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(
    connection: Connection,
    *,
    as_json: bool,
) -> None:
    """Verify a service and say what was proved.

    Fetches the key broker's evidence and the signed directory, checks both offline against the
    policy, and exits with code 3 when anything is not as the policy demands.
    """
    with connection.client() as client:
        report = client.verify()
    if as_json:
        print_json(report.as_json())
        return
    warn_of_simulation(simulated=report.simulated)
    _print(report)


def _print(report: TrustReport) -> None:
    from datetime import UTC, datetime

    from rich.table import Table
    from rich.text import Text

    claims, directory = report.approval.claims, report.directory
    until = datetime.fromtimestamp(report.valid_until_ms / 1000, UTC)
    facts = Table(title="Proved", title_justify="left", show_header=False)
    facts.add_column(style="bold")
    facts.add_column(overflow="fold")
    for name, value in (
        ("deployment", claims.bound.deployment),
        ("TEE", claims.bound.tee.value),
        ("measurement", claims.measurement),
        ("TCB status", claims.tcb_status),
        ("settings", claims.bound.manifest_digest),
        ("directory", f"version {directory.version}, valid until {until:%Y-%m-%d %H:%M:%S} UTC"),
        ("keys", ", ".join(f"{key.suite.name} {key.kid[:16]}…" for key in directory.keys)),
    ):
        facts.add_row(name, Text(value))
    print_table(facts)
    models = Table(title="Models", title_justify="left")
    for heading in ("model", "inputs", "outputs", "package"):
        models.add_column(heading, overflow="fold")
    for model in directory.models:
        models.add_row(
            f"{model.name}:{model.version}" + (" (default)" if model.default else ""),
            Text("\n".join(f"{s.name} {s.datatype} {list(s.shape)}" for s in model.inputs)),
            Text("\n".join(f"{s.name} {s.datatype} {list(s.shape)}" for s in model.outputs)),
            model.digest[:16] + "…",
        )
    print_table(models)
