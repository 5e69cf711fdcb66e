"""CLI: `sealflow example`: writes example models, and photos to classify with them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from sealflow.cli.screen import json_option, print_json
from sealflow.cli.shipped import shipped, write_copies

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ABOUT: Final = {
    "classifier": "EfficientNet-Lite0, a classifier of photos, with three photos (19 MB)",
    "tiny": "a small network with four input numbers and three output classes (1 KB)",
}

_folder = click.argument("folder", type=click.Path(path_type=Path, file_okay=False))


@click.group()
def example() -> None:
    """Write an example model, ready to serve, into a new or empty folder."""


@example.command("list")
@json_option
def list_examples(*, as_json: bool) -> None:
    """List the example models."""
    if as_json:
        print_json(_ABOUT)
        return
    for name, about in _ABOUT.items():
        click.echo(f"{name:12}{about}")


@example.command()
@_folder
@json_option
def classifier(folder: Path, *, as_json: bool) -> None:
    """Write FOLDER/model, a classifier of photos, and FOLDER/photos to classify."""
    sources = {"model": "examples/efficientnet-lite0", "photos": "examples/photos"}
    photos = shlex.quote(str(folder / "photos"))
    requests = (f"sealflow infer {photos}/*.jpg", f"sealflow bench -n 1000 -i {photos}")
    _write("classifier", folder, sources, requests, as_json=as_json)


@example.command()
@_folder
@json_option
def tiny(folder: Path, *, as_json: bool) -> None:
    """Write FOLDER/model, a network with four input numbers that needs little processor time."""
    requests = ("sealflow bench -n 1000 --tensor -m tiny",)
    _write("tiny", folder, {"model": "examples/tiny"}, requests, as_json=as_json)


def _write(
    name: str,
    folder: Path,
    sources: Mapping[str, str],
    requests: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Write an example and print the commands that serve and use it."""
    written = write_copies({part: shipped(path) for part, path in sources.items()}, folder)
    serve = f"sealflow up --model {shlex.quote(str(folder / 'model'))}"
    use = ("sealflow verify", *requests)
    if as_json:
        files = [str(path) for path in written]
        print_json({"example": name, "files": files, "commands": [serve, *use]})
        return
    click.echo(f"Wrote the example {name} into {folder}: {_ABOUT[name]}.")
    _show("Next, serve it (Ctrl-C stops):", [serve])
    _show("Then, in another terminal with the same working directory:", use)


def _show(heading: str, commands: Sequence[str]) -> None:
    click.echo(heading)
    for each in commands:
        click.echo(f"  {each}")
