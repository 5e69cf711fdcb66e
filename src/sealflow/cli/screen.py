"""CLI: what all commands print the same way."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.table import Table

SIMULATED = "SIMULATED TEE: nothing is protected from whoever runs these machines"


def print_json(value: object) -> None:
    """Print one JSON object on one line."""
    click.echo(json.dumps(value))


def print_table(table: Table) -> None:
    """Print a table, with colour only on a terminal."""
    from rich.console import Console

    Console(highlight=False).print(table)


def warn_of_simulation(*, simulated: bool) -> None:
    """Say that nothing is protected, when it is not."""
    if simulated:
        click.secho(SIMULATED, fg="yellow", bold=True, err=True)


@contextmanager
def progress(what: str, total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal; gives the function that takes how many are done so far."""
    if quiet or not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
