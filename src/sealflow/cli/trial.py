"""CLI: `sealflow trial`: what a cluster with a simulated TEE is made of, without the cluster."""

from __future__ import annotations

from pathlib import Path

import click

from sealflow.cli.home import Home
from sealflow.cli.screen import SIMULATED, print_json


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--deployment", default="sealflow", show_default=True, metavar="NAME")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def trial(folder: Path, deployment: str, *, as_json: bool) -> None:
    """Make an owner's key, settings, a clients' policy and a simulated platform in FOLDER.

    For a trial on a cluster; `sealflow up` makes the same in its home. What is there already stays.
    """
    home = Home(folder)
    home.prepare(deployment)
    files = {
        "settings of the enclaves": home.deployment,
        "policy for clients": home.policy,
        "key of the model owner": home.owner_key,
        "simulated platform": home.platform,
    }
    if as_json:
        print_json({name: str(path) for name, path in files.items()} | {"simulated": True})
        return
    click.echo(SIMULATED, err=True)
    for name, path in files.items():
        click.echo(f"{name:26}{path}")
