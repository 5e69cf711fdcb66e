"""CLI: `sealflow revoke`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealflow.cli.connection import connection_options
from sealflow.cli.screen import print_json

if TYPE_CHECKING:
    from sealflow.cli.connection import Connection


@click.command()
@click.argument("kind", type=click.Choice(["worker", "model", "key"]))
@click.argument("name", metavar="ID")
@click.option(
    "--owner-key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The key of an owner or operator.  [default: owner.key in the home]",
)
@connection_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def revoke(
    kind: str, name: str, owner_key: Path | None, connection: Connection, *, as_json: bool
) -> None:
    """Revoke, for good: a worker by its instance id, a model by its digest, a key by its id.

    A revoked worker gets no keys any more, and a new epoch begins. A revoked model is dropped by
    all workers. A revoked key is destroyed at once; clients seal anew by themselves.
    """
    from sealflow.cli.home import Home
    from sealflow.documents.revocation import Revoked, RevokedKind
    from sealflow.owner.models.owner_key import load_owner_key

    key = load_owner_key(owner_key or Home(connection.home).owner_key)
    revoked = Revoked(kind=RevokedKind(kind), id=name)
    with connection.client() as client:
        version = client.revoke(revoked, key)
    if as_json:
        print_json({"revoked": revoked.as_json(), "directory_version": version})
    else:
        click.echo(f"revoked; directory version {version} says so")
