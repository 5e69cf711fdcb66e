"""CLI: `sealflow model` and `sealflow revoke`: pack, inspect, publish, list and revoke models."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealflow.cli.connection import connection_options
from sealflow.cli.screen import json_option, print_json, print_table, progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealflow.cli.connection import Connection
    from sealflow.openinfer.tensor import TensorSpec
    from sealflow.package.container import Package
    from sealflow.package.manifest import ModelManifest
    from sealflow.package.preprocessing import ImagePreprocessing


DEFAULT_OWNER_KEY = Path(".sealflow/owner.key")
DEFAULT_POLICY = Path(".sealflow/client.toml")


@click.command()
@click.argument("package", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--owner-key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Owner's key file that the package was made with.  [default: owner.key in --home]",
)
@connection_options
@json_option
def publish(
    package: Path,
    owner_key: Path | None,
    connection: Connection,
    *,
    as_json: bool,
) -> None:
    """Publish PACKAGE: a sealed package, or a folder with model.toml that is packed first.

    The key broker is verified first, and the content key is sealed to it. If the policy has a
    table `worker`, the key broker gives the model only to workers that meet it.
    """
    from sealflow.local.home import ClusterHome
    from sealflow.owner.models.owner_key import load_owner_key
    from sealflow.owner.models.packing import pack_folder
    from sealflow.owner.trust.policy_file import load_policy_file

    key = load_owner_key(owner_key or ClusterHome(connection.home).owner_key)
    workers = load_policy_file(connection.policy).worker
    with connection.client() as client:
        with progress("Publishing", 1, quiet=as_json) as advance:
            data = pack_folder(package, key) if package.is_dir() else package.read_bytes()
            version = client.publish(data, key, workers=workers)
            advance(1)
        models = client.verify().models
    if as_json:
        print_json({"directory_version": version, "models": [each.to_json() for each in models]})
    else:
        click.echo(f"published in directory version {version}; workers load the model now")


@click.command("list")
@connection_options
@json_option
def list_models(
    connection: Connection,
    *,
    as_json: bool,
) -> None:
    """List the models of the verified directory."""
    from rich.table import Table
    from rich.text import Text

    with connection.client() as client:
        models = client.verify().models
    if as_json:
        print_json([each.to_json() for each in models])
        return
    table = Table()
    for heading in ("model", "default", "inputs", "package"):
        table.add_column(heading, overflow="fold")
    for each in models:
        images = " (or images)" if each.image is not None else ""
        inputs = Text(_specs(each.inputs) + images)
        name = f"{each.name}:{each.version}"
        table.add_row(name, "yes" if each.default else "", inputs, each.digest)
    print_table(table)


@click.group()
def model() -> None:
    """Pack, inspect, publish and list models."""


model.add_command(publish)
model.add_command(list_models)


@model.command("forget-owner")
@click.argument("name")
@click.option(
    "--policy",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_POLICY,
    show_default=True,
    help="Policy file, beside which the pin is kept.",
)
@json_option
def forget_owner(name: str, policy: Path, *, as_json: bool) -> None:
    """Forget which owner the model NAME belongs to; the next command remembers the present one.

    Clients refuse a name that comes to another owner (`owner_changed`). Ask the owner first.
    """
    from sealflow.owner.trust.pin import DirectoryPin
    from sealflow.owner.trust.policy_file import pin_path
    from sealflow.wire.ids import parse_name

    pin = pin_path(policy)
    owner = DirectoryPin(pin).forget_owner(parse_name(name))
    if as_json:
        print_json({"name": name, "owner": owner})
    elif owner is None:
        click.echo(f"{pin} has no owner of {name}")
    else:
        click.echo(f"forgot that {name} belongs to {owner}")


@model.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="File to write.  [default: NAME-VERSION.sealed in the current folder]",
)
@click.option(
    "--owner-key",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_OWNER_KEY,
    show_default=True,
    help="Owner's key file, which signs the package. Publishing it needs the same key.",
)
@json_option
def pack(folder: Path, output: Path | None, owner_key: Path, *, as_json: bool) -> None:
    """Pack FOLDER, which holds model.toml and the files that it names.

    The package is signed and encrypted, so it can be stored anywhere.
    """
    from sealflow.owner.models.owner_key import load_owner_key
    from sealflow.owner.models.packing import pack_folder, write_package
    from sealflow.package.container import UnverifiedPackage

    key = load_owner_key(owner_key)
    with _progress("Encrypting", quiet=as_json) as advance:
        data = pack_folder(folder, key, progress=advance)
    packed = UnverifiedPackage.from_bytes(data).verify(key.signer)
    _warn_of_open_outputs(packed.manifest)
    path = output or Path(f"{packed.manifest.name}-{packed.manifest.version}.sealed")
    write_package(path, data)
    if as_json:
        print_json({"path": str(path), "bytes": len(data), **_summary(packed)})
        return
    click.echo(f"{path}  {_size(len(data))}  {packed.manifest.ref}")
    click.echo(f"digest {packed.digest}")


@model.command()
@click.argument("package", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--signer", metavar="HEX", help="Ed25519 public key that must have signed the package."
)
@json_option
def inspect(package: Path, signer: str | None, *, as_json: bool) -> None:
    """Check the signature of PACKAGE, and show its manifest and list of files.

    No key is needed, as these parts are not encrypted. Without --signer, any signer is accepted:
    compare the printed one with the owner that you trust.
    """
    from sealflow.package.container import UnverifiedPackage

    unverified = UnverifiedPackage.from_bytes(package.read_bytes())
    checked = unverified.verify(signer or unverified.unverified_signer)
    if as_json:
        print_json(_summary(checked))
    else:
        _print_tables(checked, demanded=signer is not None)


def _warn_of_open_outputs(manifest: ModelManifest) -> None:
    from sealflow.owner.models.packing import open_outputs

    if names := ", ".join(open_outputs(manifest)):
        click.secho(
            f"warning: the size of {names} depends on the input, so the length of a sealed reply "
            "tells the operator something of it; set reply_bytes in model.toml",
            fg="yellow",
            err=True,
        )


@contextmanager
def _progress(what: str, *, quiet: bool) -> Iterator[Callable[[int, int], object] | None]:
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, advance=done, total=total)

        yield advance


def _summary(package: Package) -> dict[str, object]:
    return {
        "digest": package.digest,
        "signer": package.signer,
        "signature": "valid",
        "manifest": package.manifest.to_json(),
        "files": [
            {
                "name": file.name,
                "bytes": file.size,
                "sha256": file.digest,
                "encrypted": True,
            }
            for file in package.statement.files
        ],
    }


def _print_tables(package: Package, *, demanded: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    facts = Table(show_header=False, box=None, pad_edge=False)
    facts.add_column(style="bold")
    facts.add_column(overflow="fold")
    for name, value in _facts(package, demanded=demanded):
        facts.add_row(name, Text(value))
    print_table(facts)
    files = Table(title="Files", title_justify="left")
    files.add_column("name", overflow="fold")
    files.add_column("size", justify="right")
    files.add_column("sha256", overflow="fold")
    files.add_column("encrypted")
    for file in package.statement.files:
        files.add_row(file.name, _size(file.size), file.digest, "yes")
    print_table(files)
    click.echo("All of the above is signed, but not encrypted. The files are encrypted.")


def _facts(package: Package, *, demanded: bool) -> Iterator[tuple[str, str]]:
    from sealflow.owner.models.packing import open_outputs

    manifest = package.manifest
    trust = "as demanded" if demanded else "compare it with the owner that you trust"
    yield "model", str(manifest.ref)
    yield "digest", package.digest
    yield "signer", f"{package.signer} ({trust})"
    yield "signature", "valid"
    yield "format", manifest.format.value
    yield "max batch", str(manifest.max_batch)
    yield "inputs", _specs(manifest.inputs)
    yield "outputs", _specs(manifest.outputs)
    if manifest.image is not None:
        yield "image", _image(manifest.image)
    if manifest.classification is not None:
        softmax = ", softmax" if manifest.classification.softmax else ""
        yield "classification", f"{manifest.classification.output}{softmax}"
    if manifest.labels is not None:
        yield "labels", manifest.labels
    if manifest.reply_bytes:
        yield "reply bytes", f"{manifest.reply_bytes}, always"
    elif names := ", ".join(open_outputs(manifest)):
        yield "reply bytes", f"tell the size of {names}"
    yield "rows", "independent" if manifest.rows_independent else "not declared independent"


def _image(image: ImagePreprocessing) -> str:
    return (
        f"{image.width}x{image.height} {image.channels} {image.layout} for {image.input}, "
        f"crop {image.crop:g}, {image.resize}, mean {list(image.mean)}, scale {list(image.scale)}"
    )


def _specs(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{spec.name} {spec.datatype} {list(spec.shape)}" for spec in specs)


def _size(count: int) -> str:
    from rich.filesize import decimal

    return decimal(count)


@click.command()
@click.argument("kind", type=click.Choice(["worker", "model", "key", "grant"]))
@click.argument("names", metavar="ID...", nargs=-1, required=True)
@click.option(
    "--owner-key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Key file of an owner or operator of the deployment.  [default: owner.key in --home]",
)
@connection_options
@json_option
def revoke(
    kind: str,
    names: tuple[str, ...],
    owner_key: Path | None,
    connection: Connection,
    *,
    as_json: bool,
) -> None:
    """Revoke workers (by instance id), models (by digest), keys (by id) or grants, permanently.

    An owner revokes its models, which all workers drop, and its grants to a worker (by instance
    id), which then gets none of its models. Operators revoke workers, which get no more keys while
    one new epoch begins for all, and keys, which are destroyed at once; and models.
    """
    from sealflow.documents.revocation import Revoked, RevokedKind
    from sealflow.local.home import ClusterHome
    from sealflow.owner.models.owner_key import load_owner_key

    key = load_owner_key(owner_key or ClusterHome(connection.home).owner_key)
    revoked = [Revoked(kind=RevokedKind(kind), id=name) for name in names]
    with connection.client() as client:
        version = client.revoke(revoked, key)
    if as_json:
        listed = [each.to_json() for each in revoked]
        print_json({"revoked": listed, "directory_version": version})
    else:
        click.echo(f"revoked in directory version {version}")
