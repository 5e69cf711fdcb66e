"""CLI: `sealflow keys`: make, rotate and list what an operator and owners need."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sealflow.cli.screen import json_option, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_FOLDER: Final = Path("sealflow-keys")
_SOON: Final = timedelta(days=30)

_folder = click.argument(
    "folder", type=click.Path(path_type=Path, file_okay=False), default=DEFAULT_FOLDER
)
_kubernetes = click.option(
    "--kubernetes", is_flag=True, help="Write Secrets: keys/keys.yaml and password/password.yaml."
)


@click.group()
def keys() -> None:
    """Make and rotate certificates, broker passwords, owner and enclave signing keys.

    Files are private (0600 in 0700). No command prints a secret or takes one as an argument.
    """


@keys.command()
@_folder
@click.option("--deployment", default="sealflow", show_default=True, metavar="NAME")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="COMPONENT=HOST",
    help="A further name or address that a component is reached by; may be given again.",
)
@click.option("--release", default="sealflow", show_default=True, help="The Helm release.")
@click.option("--namespace", default="default", show_default=True, help="Of Kubernetes.")
@_kubernetes
@json_option
def make(
    folder: Path,
    deployment: str,
    hosts: tuple[str, ...],
    release: str,
    namespace: str,
    *,
    kubernetes: bool,
    as_json: bool,
) -> None:
    """Make all keys of a cluster in FOLDER: one key, certificate and password a component."""
    from sealflow.errors import ConfigError, MalformedError
    from sealflow.operator.components import ClusterNames
    from sealflow.operator.key_folder import make as make_files
    from sealflow.operator.key_folder import write_tree
    from sealflow.wire.ids import parse_name

    pairs = []
    for each in hosts:
        component, separator, host = each.partition("=")
        if not separator:
            raise ConfigError(f"--host {each}: write it as COMPONENT=HOST")
        pairs.append((component, host))
    try:
        name = parse_name(deployment)
    except MalformedError as error:
        raise ConfigError(f"--deployment: {error}") from error
    site = ClusterNames(deployment=name, release=release, namespace=namespace, hosts=tuple(pairs))
    files = make_files(site, datetime.now(UTC), kubernetes=kubernetes)
    write_tree(folder, files, replace=False)
    _print_files(folder, files, {}, as_json=as_json)


@keys.command()
@click.argument("what", type=click.Choice(["certificates", "passwords", "authorities"]))
@_folder
@click.option(
    "--component", "names", multiple=True, metavar="NAME", help="Only for these; all by default."
)
@click.option(
    "--overlap-days",
    type=click.IntRange(0, 365),
    default=30,
    show_default=True,
    help="How long old passwords and authorities count beside the new ones.",
)
@_kubernetes
@json_option
def rotate(
    what: str,
    folder: Path,
    names: tuple[str, ...],
    overlap_days: int,
    *,
    kubernetes: bool,
    as_json: bool,
) -> None:
    """Replace certificates, passwords or authorities in FOLDER, without an interruption.

    Afterwards give every process its new files, in any order, within the overlap. Old passwords and
    roots that no longer count are left out at the next rotation.
    """
    from sealflow.errors import ConfigError
    from sealflow.operator import key_folder
    from sealflow.operator.components import COMPONENTS
    from sealflow.operator.key_folder import read_tree, write_tree

    unknown = set(names) - {each.name for each in COMPONENTS}
    if unknown:
        known = ", ".join(each.name for each in COMPONENTS)
        raise ConfigError(f"no component {', '.join(sorted(unknown))}; there are {known}")
    if names and what == "authorities":
        raise ConfigError("authorities are rotated for all components at once: omit --component")
    chosen = [each for each in COMPONENTS if not names or each.name in names]
    before, now, overlap = read_tree(folder), datetime.now(UTC), timedelta(days=overlap_days)
    if what == "certificates":
        files = key_folder.rotate_certificates(before, now, chosen)
    elif what == "passwords":
        files = key_folder.rotate_passwords(before, now, overlap, chosen)
    else:
        files = key_folder.rotate_authorities(before, now, overlap)
    if kubernetes:
        files = key_folder.with_manifests(files)
    write_tree(folder, files, replace=True)
    _print_files(folder, files, before, as_json=as_json)


@keys.command("list")
@_folder
@json_option
def list_keys(folder: Path, *, as_json: bool) -> None:
    """List the certificates in FOLDER and when they end."""
    from sealflow.operator.certificates import load_certificates
    from sealflow.operator.key_folder import read_tree

    now, rows = datetime.now(UTC), []
    for path, content in sorted(read_tree(folder).items()):
        if path.endswith(("tls.crt", "ca/service/ca.crt", "ca/flink/ca.crt", "ca/rest/ca.crt")):
            certificate = load_certificates(content)[0]
            end = certificate.not_valid_after_utc
            rows.append(
                {
                    "path": str(folder / path),
                    "subject": certificate.subject.rfc4514_string(),
                    "issuer": certificate.issuer.rfc4514_string(),
                    "ends": end.strftime("%Y-%m-%d"),
                    "days_left": (end - now).days,
                }
            )
    if as_json:
        print_json({"folder": str(folder), "certificates": rows})
        return
    from rich.table import Table

    table = Table()
    for heading in ("certificate", "subject", "ends"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        days = int(str(row["days_left"]))
        note = "" if timedelta(days=days) > _SOON else f"  {days} days left: rotate"
        table.add_row(str(row["path"]), str(row["subject"]), f"{row['ends']}{note}")
    print_table(table)


@keys.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--simulated", is_flag=True, help="For a simulated deployment: it protects nothing.")
@json_option
def owner(file: Path, *, simulated: bool, as_json: bool) -> None:
    """Draw a model owner's key into FILE: Ed25519 to sign packages, and one to open them again.

    What is printed is the public name that a deployment lists under its owners.
    """
    from sealflow.owner.models.owner_key import create_owner_key
    from sealflow.wire.domain import TrustDomain

    key = create_owner_key(file, TrustDomain.SIMULATED if simulated else TrustDomain.HARDWARE)
    _print_key(file, "signer", key.signer, as_json=as_json)


@keys.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def enclave(file: Path, *, as_json: bool) -> None:
    """Draw a key into FILE that signs SGX enclaves: RSA-3072 with exponent 3.

    What is printed is its MRSIGNER, for policies. Keep the key away from the cluster.
    """
    from sealflow.errors import ConfigError
    from sealflow.files import create_file
    from sealflow.owner.enclave.signing import new_enclave_key

    pem, signer = new_enclave_key()
    try:
        create_file(file, pem)
    except FileExistsError as error:
        raise ConfigError(f"{file} exists; a key is never overwritten") from error
    except OSError as error:
        raise ConfigError(f"{file}: cannot write the key: {error.strerror}") from error
    _print_key(file, "mr_signer", signer, as_json=as_json)


def _print_key(file: Path, what: str, public: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"path": str(file), what: public})
    else:
        click.echo(f"{file}\n{what} {public}")


def _print_files(
    folder: Path, files: Mapping[str, bytes], before: Mapping[str, bytes], *, as_json: bool
) -> None:
    changed = sorted(path for path, content in files.items() if before.get(path) != content)
    if as_json:
        report: dict[str, Any] = {"folder": str(folder), "written": changed}
        print_json(report)
        return
    click.echo(f"{folder}: {len(changed)} files written")
    for top in dict.fromkeys(path.rpartition("/")[0] for path in changed):
        names = [path.rpartition("/")[2] for path in changed if path.rpartition("/")[0] == top]
        click.echo(f"  {top or '.'}/  {' '.join(names)}")
    click.echo("Keep ca/ away from the cluster: whoever has it can join any circle.")
