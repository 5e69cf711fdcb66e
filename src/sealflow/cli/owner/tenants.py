"""CLI: `sealflow tenants`: the authority's key, and tokens that it signs, lists and revokes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sealflow.cli.connection import connection_options
from sealflow.cli.owner.tenant_usage import authority_option, authority_path, show_usage
from sealflow.cli.screen import json_option, print_json, print_table
from sealflow.errors import ConfigError

if TYPE_CHECKING:
    from sealflow.cli.connection import Connection
    from sealflow.owner.models.tenant_register import RegisteredToken, TenantRegister

_FILE = click.Path(path_type=Path, dir_okay=False)
_HOME = click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=".sealflow",
    show_default=True,
    help="Folder with the key tenants.key and the settings deployment.json.",
)
_DAY_MS = 86_400_000


@click.group()
def tenants() -> None:
    """Serve tenants only, each within its quotas: tokens, and what tenants used."""


tenants.add_command(show_usage)


@tenants.command("init")
@_HOME
@json_option
def init_tenants(home: Path, *, as_json: bool) -> None:
    """Make the tenant authority's key in --home; `sealflow up` then serves tenants only.

    For other clusters, set `tenants` in deployment.json to the printed public key.
    """
    from sealflow.local.home import ClusterHome
    from sealflow.owner.models.owner_key import create_owner_key, load_owner_key
    from sealflow.wire.domain import TrustDomain

    path = ClusterHome(home).tenants_key
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = load_owner_key(path) if path.exists() else create_owner_key(path, TrustDomain.SIMULATED)
    if as_json:
        print_json({"authority": key.signer, "key": str(path)})
    else:
        click.echo(key.signer)


@tenants.command("create")
@click.argument("name")
@click.option("--out", type=_FILE, required=True, help="File for the token; keep it secret.")
@click.option("--requests", type=click.IntRange(1), default=100_000, show_default=True)
@click.option("--rows", type=click.IntRange(1), default=1_000_000, show_default=True)
@click.option("--cpu-ms", type=click.IntRange(1), default=10_000_000, show_default=True)
@click.option("--bytes", type=click.IntRange(1), default=2**36, show_default=True)
@click.option(
    "--period",
    "period_s",
    type=click.IntRange(1, 31_622_400),
    default=86_400,
    show_default=True,
    help="Seconds after which quotas begin anew.",
)
@click.option(
    "--weight",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Share beside other tenants.",
)
@click.option("--days", type=click.IntRange(1, 366), default=7, show_default=True)
@authority_option
@click.option("--deployment", help="Name of the deployment.  [default: that of --home]")
@_HOME
@json_option
def create_tenant(name: str, out: Path, home: Path, *, as_json: bool, **options: Any) -> None:
    """Sign a token for tenant NAME. Quotas are of each worker, in each period."""
    from sealflow.clock import now_ms
    from sealflow.documents.tenant_token import QUOTAS, TenantToken
    from sealflow.files import create_file, file_errors
    from sealflow.owner.models.owner_key import load_owner_key
    from sealflow.wire.ids import new_request_id, parse_name

    path = authority_path(options["key"], home)
    key = load_owner_key(path)
    now = now_ms()
    token = TenantToken(
        deployment=options["deployment"] or _deployment_name(home),
        tenant=parse_name(name),
        id=new_request_id(),
        not_before_ms=now - 300_000,
        expires_ms=now + options["days"] * _DAY_MS,
        period_s=options["period_s"],
        weight=options["weight"],
        quotas={name: options[name] for name in QUOTAS},
    )
    if not out.exists():
        _register(path).add(token)
    with file_errors(f"token {out}", exists=f"{out} exists: a token is never overwritten"):
        create_file(out, f"{token.sign(key.signing, key.domain)}\n".encode())
    if as_json:
        print_json(token.to_json())
    else:
        click.echo(f"{out}: token {token.id} of tenant {name}, for {options['days']} days")


@tenants.command("show")
@click.argument("files", nargs=-1, required=True, type=_FILE)
@authority_option
@_HOME
@json_option
def show_tokens(files: tuple[Path, ...], key: Path | None, home: Path, *, as_json: bool) -> None:
    """Check token FILES and show whose they are, their quotas and their end."""
    from rich.table import Table

    from sealflow.clock import utc_text
    from sealflow.documents.tenant_token import QUOTAS, TenantToken
    from sealflow.owner.models.owner_key import load_owner_key
    from sealflow.owner.trust.tenant_file import read_tenant_token

    authority = load_owner_key(authority_path(key, home))
    found = [
        TenantToken.verify(read_tenant_token(file), authority.signer, authority.domain)
        for file in files
    ]
    if as_json:
        print_json([each.to_json() for each in found])
        return
    table = Table("tenant", "id", "ends", "period_s", "weight", *QUOTAS, box=None)
    for each in found:
        numbers = (each.period_s, each.weight, *(each.quotas[name] for name in QUOTAS))
        table.add_row(each.tenant, each.id, utc_text(each.expires_ms), *map(str, numbers))
    print_table(table)


@tenants.command("list")
@authority_option
@_HOME
@json_option
def list_tokens(key: Path | None, home: Path, *, as_json: bool) -> None:
    """List the tokens that were signed here, with their ends and quotas, and those revoked.

    The register tenants.jsonl lies beside the authority's key. It holds no token.
    """
    from rich.table import Table

    from sealflow.clock import now_ms, utc_text
    from sealflow.documents.tenant_token import QUOTAS

    found, now = _register(authority_path(key, home)).tokens(), now_ms()
    if as_json:
        listed = [
            {**each.token.to_json(), "state": each.state(now), "revoked_ms": each.revoked_ms}
            for each in found
        ]
        print_json({"tokens": listed})
        return
    table = Table("tenant", "id", "state", "ends", "period_s", "weight", *QUOTAS, box=None)
    for each in found:
        token = each.token
        numbers = (token.period_s, token.weight, *(token.quotas[name] for name in QUOTAS))
        ends = utc_text(token.expires_ms)
        table.add_row(token.tenant, token.id, each.state(now), ends, *map(str, numbers))
    print_table(table)


@tenants.command("revoke")
@click.argument("names", metavar="[TENANT]...", nargs=-1)
@click.option("--id", "ids", multiple=True, help="Id of a token, as `sealflow tenants show` says.")
@authority_option
@connection_options
@json_option
def revoke_tokens(
    names: tuple[str, ...],
    ids: tuple[str, ...],
    key: Path | None,
    connection: Connection,
    *,
    as_json: bool,
) -> None:
    """Revoke all tokens of a TENANT that are not over, or tokens by --id, permanently.

    Workers refuse them from their next grant on, at the latest when their lease ends.
    """
    from sealflow.clock import now_ms
    from sealflow.documents.revocation import MAX_ORDERED, Revoked, RevokedKind
    from sealflow.owner.models.owner_key import load_owner_key

    path = authority_path(key, connection.home)
    authority, register = load_owner_key(path), _register(path)
    chosen = [*ids, *_valid_ids(register.tokens(), names)]
    if not chosen:
        raise ConfigError("nothing to revoke: name a tenant, or a token with --id")
    revoked = [Revoked(kind=RevokedKind.TOKEN, id=each) for each in dict.fromkeys(chosen)]
    with connection.client() as client:
        for start in range(0, len(revoked), MAX_ORDERED):
            part = revoked[start : start + MAX_ORDERED]
            version = client.revoke(part, authority)
            register.revoke([each.id for each in part], now_ms())
    if as_json:
        print_json({"revoked": [each.id for each in revoked], "directory_version": version})
    else:
        click.echo(f"revoked {len(revoked)} tokens by directory version {version}")


def _valid_ids(tokens: list[RegisteredToken], names: tuple[str, ...]) -> list[str]:
    from sealflow.clock import now_ms

    now, found = now_ms(), []
    for name in names:
        of_tenant = [each for each in tokens if each.token.tenant == name]
        if not of_tenant:
            raise ConfigError(f"the register has no token of tenant {name}: name tokens with --id")
        found += [each.token.id for each in of_tenant if each.state(now) == "valid"]
    return found


def _register(authority: Path) -> TenantRegister:
    from sealflow.owner.models.tenant_register import TenantRegister

    return TenantRegister(authority.with_name("tenants.jsonl"))


def _deployment_name(home: Path) -> str:
    from sealflow.attest.deployment import Deployment
    from sealflow.errors import MalformedError
    from sealflow.files import read_file
    from sealflow.local.home import ClusterHome

    path = ClusterHome(home).deployment
    if not path.exists():
        raise ConfigError(f"there is no {path}: name the deployment with --deployment")
    try:
        return Deployment.from_bytes(read_file(path, 2**17)).name
    except MalformedError as error:
        raise ConfigError(f"{path}: {error}") from error
