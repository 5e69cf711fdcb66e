"""CLI: `sealflow infer`: classifies images with a model that takes images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealflow.cli.connection import connection_options
from sealflow.cli.screen import (
    json_lines_option,
    print_error,
    print_json,
    print_table,
    progress,
    strip_control_characters,
    warn_of_simulation,
)
from sealflow.errors import ConfigError, SealflowError
from sealflow.files import file_errors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealflow.cli.connection import Connection
    from sealflow.documents.directory import DirectoryModel
    from sealflow.owner.client.result import InferResult


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-m",
    "--model",
    metavar="NAME[:VERSION]",
    help="Model to use.  [default: the only one that takes images]",
)
@click.option(
    "-k",
    "--top-k",
    type=click.IntRange(1, 1000),
    default=5,
    show_default=True,
    help="Number of best classes to print.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.001, 86_400),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Time limit for each image.",
)
@click.option(
    "--receipt",
    "receipts",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Ask for signed receipts and append them to this file; `sealflow receipt verify` checks "
    "them.",
)
@click.option(
    "--share-batch",
    is_flag=True,
    help="Let the images share batches with those of other clients that allow it, for throughput. "
    "The policy must allow it.",
)
@connection_options
@json_lines_option
def infer(
    images: tuple[Path, ...],
    model: str | None,
    top_k: int,
    timeout_s: float,
    receipts: Path | None,
    connection: Connection,
    *,
    share_batch: bool,
    as_json: bool,
) -> None:
    """Classify IMAGES (JPEG or PNG files): seal and send them, and open the replies."""
    if receipts is not None:
        _append_receipts(receipts, [])  # fails before the requests if the file cannot be written
    results: dict[Path, InferResult | SealflowError] = {}
    with connection.client() as client:
        name = model or image_model(client.verify(timeout_s=timeout_s).models)
        with progress("Inferring", len(images), quiet=as_json) as advance:
            for outcome in client.infer_many(
                name,
                images,
                top_k=top_k,
                timeout_s=timeout_s,
                receipt=receipts is not None,
                share_batch=share_batch,
            ):
                results[images[outcome.index]] = outcome.value
                advance(len(results))
    if receipts is not None:
        _append_receipts(receipts, [results[image] for image in images])
    for image in images:
        _print(image, results[image], as_json=as_json)
    found = [each for each in results.values() if not isinstance(each, SealflowError)]
    if not as_json:
        warn_of_simulation(simulated=any(each.simulated for each in found))
    for failed in results.values():
        if isinstance(failed, SealflowError):
            if as_json:
                from sealflow.cli.main import exit_code

                print_error(failed, as_json=False)  # the line of its image is the JSON
                sys.exit(exit_code(failed))
            raise failed


def image_model(models: Iterable[DirectoryModel]) -> str:
    """Return the name of the only model that takes images.

    Raises: ConfigError when there is not exactly one.
    """
    names = sorted({model.name for model in models if model.image is not None})
    if len(names) != 1:
        served = ", ".join(names) or "none: publish one with `sealflow model publish`"
        raise ConfigError(f"name a model with -m; models that take images: {served}")
    return names[0]


def _append_receipts(file: Path, results: list[InferResult | SealflowError]) -> None:
    proofs = [
        each.receipt
        for each in results
        if not isinstance(each, SealflowError) and each.receipt is not None
    ]
    with file_errors(f"{file}: cannot write the receipts"), file.open("ab") as out:
        out.writelines(proof.to_bytes() + b"\n" for proof in proofs)


def _print(image: Path, result: InferResult | SealflowError, *, as_json: bool) -> None:
    if isinstance(result, SealflowError):
        if as_json:
            print_json({"image": str(image), **result.to_json()})
        else:
            click.secho(strip_control_characters(f"{image}: {result}"), fg="red", err=True)
        return
    if as_json:
        print_json(
            {
                "image": str(image),
                "model": str(result.model),
                "simulated": result.simulated,
                "top": [
                    {"index": each.index, "label": each.label, "score": each.score}
                    for each in result.top
                ],
            }
        )
        return
    from rich.table import Table

    click.secho(f"{image}  ({result.model})", bold=True)
    table = Table()
    table.add_column("score", justify="right")
    table.add_column("label")
    table.add_column("class", justify="right")
    for each in result.top:
        table.add_row(f"{each.score:.4f}", each.label, str(each.index))
    print_table(table)
