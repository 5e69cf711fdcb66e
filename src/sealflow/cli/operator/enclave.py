"""CLI: `sealflow enclave`: builds, signs and measures SGX enclaves, in the build of an image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealflow.cli.screen import json_option, print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sealflow.attest.evidence import Role
    from sealflow.owner.enclave.sigstruct import EnclaveMeasurement

DEFAULT_ENCLAVES = Path("/opt/sealflow/enclaves")
DEFAULT_GRAMINE = Path("/usr/lib/x86_64-linux-gnu/gramine")

_roles = click.argument(
    "roles", nargs=-1, type=click.Choice(["worker", "keybroker"]), metavar="[worker|keybroker]…"
)
_enclaves = click.option(
    "--enclaves",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=DEFAULT_ENCLAVES,
    show_default=True,
    help="Python environment that runs in the enclaves, with their manifests and signatures.",
)
_form = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "toml"]),
    default="text",
    show_default=True,
    help="Output format; toml is a part of a policy file.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Same as --format json.")


@click.group()
def enclave() -> None:
    """Build, sign and measure SGX enclaves; the build of an image runs these commands.

    Without a role, a command is for both roles.
    """


@enclave.command()
@_roles
@_enclaves
@click.option(
    "--templates",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Folder of the templates ROLE.manifest.toml.",
)
@click.option(
    "--gramine",
    type=click.Path(path_type=Path),
    default=DEFAULT_GRAMINE,
    show_default=True,
    help="Folder of Gramine's installation.",
)
@click.option(
    "--threads",
    type=int,
    default=1,
    show_default=True,
    help="Threads of a model's runtime, as `threads` in the engine's settings.",
)
@click.option(
    "--models",
    type=int,
    default=4,
    show_default=True,
    help="Maximum number of models that a worker has loaded.",
)
@click.option(
    "--weights-mib",
    type=int,
    default=64,
    show_default=True,
    help="Weights of all these models together, in MiB.",
)
@json_option
def build(
    roles: tuple[Role, ...],
    enclaves: Path,
    templates: Path,
    gramine: Path,
    threads: int,
    models: int,
    weights_mib: int,
    *,
    as_json: bool,
) -> None:
    """Write the manifests: enclave size, number of threads, every file with its hash."""
    from sealflow.files import file_errors, write_file
    from sealflow.owner.enclave.contents import PythonInstall, enclave_files
    from sealflow.owner.enclave.manifest import ManifestTemplate, manifest_text, render
    from sealflow.owner.enclave.sizing import EnclaveLoad

    load = EnclaveLoad(threads=threads, models=models, weights_mib=weights_mib)
    enclaves = enclaves.resolve()
    python = PythonInstall.inspect(enclaves)
    reports = {}
    for role in _all(roles):
        template = ManifestTemplate.read(templates / f"{role}.manifest.toml", role, enclaves)
        files = enclave_files(
            python,
            gramine,
            packages=template.packages,
            exclude=template.exclude,
            native=template.native,
        )
        manifest = render(template, load, python, files, gramine)
        path = enclaves / f"{role}.manifest"
        with file_errors(f"{path}: cannot write"):
            write_file(path, manifest_text(manifest).encode())
        path.chmod(0o644)
        sgx = manifest["sgx"]
        facts = {name: sgx[name] for name in ("enclave_size", "max_threads")}
        reports[role] = {"manifest": str(path), "files": len(files), **facts}
    if as_json:
        print_json(reports)
        return
    for role, facts in reports.items():
        click.echo(
            f"{role}: {facts['manifest']}: {facts['files']} files, {facts['enclave_size']}, "
            f"{facts['max_threads']} threads"
        )


@enclave.command()
@_roles
@_enclaves
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="PEM private key, RSA-3072 with exponent 3, which `sealflow keys enclave` makes.",
)
@_form
@_json
def sign(roles: tuple[Role, ...], enclaves: Path, key: Path, form: str, *, as_json: bool) -> None:
    """Sign the manifests with Gramine's signer, and print the enclaves' measurements."""
    from sealflow.owner.enclave.signing import sign as sign_one

    _print([sign_one(role, enclaves, key) for role in _all(roles)], "json" if as_json else form)


@enclave.command()
@_roles
@_enclaves
@_form
@_json
def measure(roles: tuple[Role, ...], enclaves: Path, form: str, *, as_json: bool) -> None:
    """Print the measurements of signed enclaves. Needs neither Gramine nor SGX."""
    from sealflow.owner.enclave.signing import measure as measure_one

    _print([measure_one(role, enclaves) for role in _all(roles)], "json" if as_json else form)


def _all(roles: tuple[Role, ...]) -> Iterable[Role]:
    from sealflow.attest.evidence import Role

    return [Role(role) for role in roles or Role]


def _print(measured: list[EnclaveMeasurement], form: str) -> None:
    if form == "json":
        print_json({each.role.value: each.to_json() for each in measured})
        return
    write: Callable[[EnclaveMeasurement], str] = _as_text
    if form == "toml":
        write = type(measured[0]).as_policy
    click.echo("\n".join(map(write, measured)), nl=False)


def _as_text(each: EnclaveMeasurement) -> str:
    debug = "yes: not for production\n" if each.debug else "no\n"
    return (
        f"{each.role}\n"
        f"  MRENCLAVE  {each.measurement}\n"
        f"  MRSIGNER   {each.signer}\n"
        f"  ISVPRODID  {each.product_id}\n"
        f"  ISVSVN     {each.svn}\n"
        f"  debug      {debug}"
    )
