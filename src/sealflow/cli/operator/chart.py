"""CLI: `sealflow chart`: the Helm chart that runs a cluster on Kubernetes."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

import click

from sealflow.cli.screen import json_option, print_json
from sealflow.cli.shipped import shipped, write_copies

_PLATFORM: Final = "sealflow-simulated-platform"
_PLATFORM_FILE: Final = "simulated-platform.json"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@json_option
def chart(folder: Path, *, as_json: bool) -> None:
    """Write the Helm chart into FOLDER, which is new or empty; README.md in it lists all values."""
    written = write_copies({".": shipped("deploy/chart")}, folder)
    place = shlex.quote(str(folder))
    values = f"-f {place}/values-nonsgx.yaml --set-file deployment.settings=trial/deployment.json"
    commands = [
        "sealflow keys make keys --release demo --namespace serving --kubernetes",
        "kubectl create namespace serving",
        "kubectl -n serving create -f keys/keys/keys.yaml -f keys/password/password.yaml",
        "sealflow init trial",
        f"kubectl -n serving create secret generic {_PLATFORM} --from-file=trial/{_PLATFORM_FILE}",
        f"helm -n serving install demo {place} --wait {values}",
    ]
    if as_json:
        files = [str(path) for path in written]
        print_json({"folder": str(folder), "files": files, "commands": commands})
        return
    click.echo(f"Wrote the Helm chart into {folder}.")
    click.echo("A trial with a simulated TEE, where the cluster has the images:")
    for each in commands:
        click.echo(f"  {each}")
