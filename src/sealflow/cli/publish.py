"""CLI: `sealflow model publish` and `sealflow model list`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealflow.cli.connection import connection_options
from sealflow.cli.screen import print_json, print_table, progress

if TYPE_CHECKING:
    from sealflow.cli.connection import Connection


@click.command()
@click.argument("package", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--owner-key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The key that packed it.  [default: owner.key in the home]",
)
@connection_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def publish(
    package: Path,
    owner_key: Path | None,
    connection: Connection,
    *,
    as_json: bool,
) -> None:
    """Publish PACKAGE: a sealed package, or a folder with model.toml to be packed first.

    The key broker is verified first; the content key is sealed to it alone. When the policy has a
    table `worker`, only workers that meet it get this model.
    """
    from sealflow.cli.home import Home
    from sealflow.owner.models.owner_key import load_owner_key
    from sealflow.owner.models.packing import pack_folder
    from sealflow.owner.trust.policy_file import load_policy_file

    key = load_owner_key(owner_key or Home(connection.home).owner_key)
    workers = load_policy_file(connection.policy).worker
    with connection.client() as client:
        with progress("Publishing", 1, quiet=as_json) as advance:
            data = pack_folder(package, key) if package.is_dir() else package.read_bytes()
            version = client.publish(data, key, workers=workers)
            advance(1)
        models = client.verify().directory.models
    if as_json:
        print_json({"directory_version": version, "models": [each.as_json() for each in models]})
    else:
        click.echo(f"published; the directory is at version {version}. Workers load it now.")


@click.command("list")
@connection_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_models(
    connection: Connection,
    *,
    as_json: bool,
) -> None:
    """List the models of the verified directory."""
    from rich.table import Table
    from rich.text import Text

    with connection.client() as client:
        models = client.verify().directory.models
    if as_json:
        print_json([each.as_json() for each in models])
        return
    table = Table()
    for heading in ("model", "default", "takes", "package"):
        table.add_column(heading, overflow="fold")
    for each in models:
        takes = ", ".join(f"{spec.name} {spec.datatype} {list(spec.shape)}" for spec in each.inputs)
        images = " (or images)" if each.image is not None else ""
        name = f"{each.name}:{each.version}"
        table.add_row(name, "yes" if each.default else "", Text(takes + images), each.digest)
    print_table(table)
