"""CLI: what all commands print the same way."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from sealflow.errors import SealflowError

SIMULATED: Final = "SIMULATED TEE: nothing is protected from whoever runs these machines"

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
json_lines_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object a line."
)


_STEERING: Final = dict.fromkeys(
    (*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
)


def strip_control_characters(text: str) -> str:
    """Leave out what steers a terminal: control characters but tab and line feed, turned text."""
    return text.translate(_STEERING)


def print_json(value: object) -> None:
    """Print one JSON object on one line."""
    click.echo(json.dumps(value))


def print_error(error: SealflowError, *, as_json: bool, color: bool | None = None) -> None:
    """Print an error in a line and its hint in another, and both as JSON for programs.

    Some of it may be a peer's words: no line break in them, and nothing that steers a terminal.
    """
    if as_json:
        print_json(error.to_json())
    for line, style in ((f"error: {error}", "red"), (f"hint: {error.hint}", "yellow")):
        shown = strip_control_characters(line).replace("\n", " ")
        click.secho(shown, fg=style, err=True, color=color)


def print_table(table: RenderableType) -> None:
    """Print a table, with colour only on a terminal, and not where NO_COLOR is set.

    What stands in cells comes from peers: it is never taken for markup, and steers no terminal.
    """
    from rich.console import Console

    Console(highlight=False, markup=False, emoji=False).print(_Visible(table))


class _Visible:
    """A renderable whose text is `strip_control_characters`, and whose own styles stay."""

    def __init__(self, inner: RenderableType) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._inner, options):
            text, style, control = segment
            yield segment if control else type(segment)(strip_control_characters(text), style)


def show_simulation(*, simulated: bool) -> None:
    """Say in a box that nothing is protected, when it is not."""
    if not simulated:
        return
    from rich import box
    from rich.panel import Panel
    from rich.text import Text

    text = Text(SIMULATED, style="bold yellow", justify="center")
    print_table(Panel(text, box=box.HEAVY, border_style="yellow"))


def warn_of_simulation(*, simulated: bool) -> None:
    """Say on standard error that nothing is protected, when it is not."""
    if simulated:
        click.secho(SIMULATED, fg="yellow", bold=True, err=True)


@contextmanager
def progress(what: str, total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal; returns the function that takes how many are done so far."""
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
