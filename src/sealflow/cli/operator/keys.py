"""CLI: `sealflow keys`: makes, rotates and lists the keys of an operator and of model owners."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sealflow.cli.screen import json_option, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_FOLDER: Final = Path("sealflow-keys")
_RENEW_BEFORE: Final = timedelta(days=30)

_folder = click.argument(
    "folder", type=click.Path(path_type=Path, file_okay=False), default=DEFAULT_FOLDER
)
_kubernetes = click.option(
    "--kubernetes",
    is_flag=True,
    help="Also write Kubernetes Secrets: keys/keys.yaml and password/password.yaml.",
)


@click.group()
def keys() -> None:
    """Make and rotate certificates, broker passwords, owner and enclave signing keys.

    Files have mode 0600, in folders of mode 0700. No command prints a secret or takes one as an
    argument.
    """


@keys.command()
@_folder
@click.option(
    "--deployment",
    default="sealflow",
    show_default=True,
    metavar="NAME",
    help="Name of the deployment.",
)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="COMPONENT=HOST",
    help="A further host name or IP address of a serving component; repeatable.",
)
@click.option("--release", default="sealflow", show_default=True, help="Name of the Helm release.")
@click.option(
    "--namespace", default="default", show_default=True, help="Kubernetes namespace of the release."
)
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
    """Make all keys of a cluster in FOLDER: keys, certificates and passwords of each component."""
    from sealflow.errors import ConfigError, MalformedError
    from sealflow.operator.components import ClusterNames
    from sealflow.operator.key_folder import create_credentials, write_tree
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
    files = create_credentials(site, datetime.now(UTC), kubernetes=kubernetes)
    write_tree(folder, files, replace=False)
    _print_files(folder, files, {}, as_json=as_json)


@keys.command()
@click.argument("what", type=click.Choice(["certificates", "passwords", "authorities"]))
@_folder
@click.option(
    "--component",
    "names",
    multiple=True,
    metavar="NAME",
    help="Only for this component; repeatable.  [default: all]",
)
@click.option(
    "--overlap-days",
    type=click.IntRange(0, 365),
    default=30,
    show_default=True,
    help="Days for which old passwords and authorities stay valid beside the new ones.",
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
    """Replace certificates, passwords or authorities in FOLDER, without interrupting the service.

    Afterwards install the new files on every process, in any order, before the overlap ends. The
    next rotation removes old passwords and roots that are no longer valid.
    """
    from sealflow.errors import ConfigError
    from sealflow.operator import key_folder
    from sealflow.operator.components import COMPONENTS
    from sealflow.operator.key_folder import read_tree, write_tree

    unknown = set(names) - {each.name for each in COMPONENTS}
    if unknown:
        known = ", ".join(each.name for each in COMPONENTS)
        raise ConfigError(
            f"--component {', '.join(sorted(unknown))}: unknown; components are {known}"
        )
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
        files = key_folder.add_secret_manifests(files)
    write_tree(folder, files, replace=True)
    _print_files(folder, files, before, as_json=as_json)


@keys.command("list")
@_folder
@json_option
def list_keys(folder: Path, *, as_json: bool) -> None:
    """List the certificates in FOLDER with the dates on which they expire."""
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
    for heading in ("certificate", "subject", "expires"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        days = int(str(row["days_left"]))
        advice = "" if timedelta(days=days) > _RENEW_BEFORE else f"  {days} days left: rotate"
        table.add_row(str(row["path"]), str(row["subject"]), f"{row['ends']}{advice}")
    print_table(table)


@keys.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--simulated", is_flag=True, help="For a deployment with a simulated TEE.")
@json_option
def owner(file: Path, *, simulated: bool, as_json: bool) -> None:
    """Make a model owner's key file FILE.

    It holds two keys: an Ed25519 key signs packages, the other opens the content keys of the
    owner's packages. The command prints the Ed25519 public key, which a deployment lists in
    `owners`.
    """
    from sealflow.owner.models.owner_key import create_owner_key
    from sealflow.wire.domain import TrustDomain

    key = create_owner_key(file, TrustDomain.SIMULATED if simulated else TrustDomain.HARDWARE)
    _print_key(file, "signer", key.signer, as_json=as_json)


@keys.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def enclave(file: Path, *, as_json: bool) -> None:
    """Make a key file FILE that signs SGX enclaves: RSA-3072 with exponent 3.

    The command prints the key's MRSIGNER, for policies. Keep the key away from the cluster.
    """
    from sealflow.files import create_file, file_errors
    from sealflow.owner.enclave.signing import new_enclave_key

    pem, signer = new_enclave_key()
    exists = f"{file} exists, and a key is never overwritten: name another"
    with file_errors(f"{file}: cannot write the key", exists=exists):
        create_file(file, pem)
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
    click.echo("Keep ca/ away from the cluster: its keys can issue a certificate for any process.")
