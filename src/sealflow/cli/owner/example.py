"""CLI: `sealflow example`: a model to serve and, for some, what to ask it."""

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
    "classifier": "EfficientNet-Lite0, which names what is on a photo, and three photos (19 MB)",
    "tiny": "a network of four numbers in and three classes out (1 KB)",
}

_folder = click.argument("folder", type=click.Path(path_type=Path, file_okay=False))


@click.group()
def example() -> None:
    """Write an example model and photos into a new or empty folder, ready to serve."""


@example.command("list")
@json_option
def list_examples(*, as_json: bool) -> None:
    """List the examples."""
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
    asking = (f"sealflow infer {photos}/*.jpg", f"sealflow bench -n 1000 -i {photos}")
    _write("classifier", folder, sources, asking, as_json=as_json)


@example.command()
@_folder
@json_option
def tiny(folder: Path, *, as_json: bool) -> None:
    """Write FOLDER/model, a network that takes four numbers and costs almost nothing to run."""
    asking = ("sealflow bench -n 1000 --tensor -m tiny",)
    _write("tiny", folder, {"model": "examples/tiny"}, asking, as_json=as_json)


def _write(
    name: str,
    folder: Path,
    sources: Mapping[str, str],
    asking: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Write an example and say what to type next."""
    written = write_copies({part: shipped(path) for part, path in sources.items()}, folder)
    serve = f"sealflow up --model {shlex.quote(str(folder / 'model'))}"
    ask = ("sealflow verify", *asking)
    if as_json:
        files = [str(path) for path in written]
        print_json({"example": name, "files": files, "commands": [serve, *ask]})
        return
    click.echo(f"Wrote the example {name} into {folder}: {_ABOUT[name]}.")
    _show("Next, serve it (Ctrl-C stops):", [serve])
    _show("Then, in another terminal with the same working directory:", ask)


def _show(heading: str, commands: Sequence[str]) -> None:
    click.echo(heading)
    for each in commands:
        click.echo(f"  {each}")
