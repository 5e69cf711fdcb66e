"""CLI: `sealflow policy check`: what a policy file demands, in words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealflow.cli.screen import print_json, print_table

if TYPE_CHECKING:
    from sealflow.owner.trust.policy_text import Line


@click.group()
def policy() -> None:
    """Check policy files."""


@policy.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(file: Path, *, as_json: bool) -> None:
    """Say in words what FILE demands, and what it leaves open.

    Exits with code 2 when it cannot be read or contradicts itself.
    """
    from sealflow.owner.trust.policy_file import load_policy_file
    from sealflow.owner.trust.policy_text import explain

    found = load_policy_file(file)
    lines = explain(found)
    if as_json:
        print_json(
            {
                "policy_digest": found.digest,
                "simulated": found.simulated,
                "lines": [
                    {"about": line.about, "text": line.text, "weakens": line.weakens}
                    for line in lines
                ],
            }
        )
        return
    _print(file, found.digest, lines)


def _print(file: Path, digest: str, lines: list[Line]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"{file}: policy {digest[:16]}…", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for line in lines:
        table.add_row(line.about, Text(line.text, style="bold yellow" if line.weakens else ""))
    print_table(table)
    weak = sum(line.weakens for line in lines)
    if weak:
        click.secho(f"{weak} of these weaken the protection.", fg="yellow", bold=True, err=True)
