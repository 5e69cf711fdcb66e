"""CLI: output that all commands share: JSON, tables, warnings and progress bars."""

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

SIMULATED: Final = "SIMULATED TEE: nothing is protected from the operator of these machines"

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
json_lines_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object per line."
)


_CONTROL_CHARACTERS: Final = dict.fromkeys(
    (*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
)


def strip_control_characters(text: str) -> str:
    """Return text without characters that control a terminal.

    These are the control characters of Unicode except tab and line feed, and those that change the
    direction of text (U+202A to U+202E, U+2066 to U+2069).
    """
    return text.translate(_CONTROL_CHARACTERS)


def print_json(value: object) -> None:
    """Print a value as JSON on one line."""
    click.echo(json.dumps(value))


def print_error(error: SealflowError, *, as_json: bool, color: bool | None = None) -> None:
    """Print an error and its hint to stderr, a line each; with `as_json` also as JSON to stdout.

    The text may come from a peer: line breaks and control characters are left out.
    """
    if as_json:
        print_json(error.to_json())
    for line, style in ((f"error: {error}", "red"), (f"hint: {error.hint}", "yellow")):
        shown = strip_control_characters(line).replace("\n", " ")
        click.secho(shown, fg=style, err=True, color=color)


def print_table(table: RenderableType) -> None:
    """Print a table, in colour only on a terminal and without NO_COLOR (https://no-color.org).

    The text of cells may come from a peer: it is not read as markup, and control characters are
    left out.
    """
    from rich.console import Console

    Console(highlight=False, markup=False, emoji=False).print(_Visible(table))


class _Visible:
    """A renderable without control characters in its text; its styles stay."""

    def __init__(self, inner: RenderableType) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._inner, options):
            text, style, control = segment
            yield segment if control else type(segment)(strip_control_characters(text), style)


def show_simulation(*, simulated: bool) -> None:
    """Print a warning in a box if the TEE is simulated."""
    if not simulated:
        return
    from rich import box
    from rich.panel import Panel
    from rich.text import Text

    text = Text(SIMULATED, style="bold yellow", justify="center")
    print_table(Panel(text, box=box.HEAVY, border_style="yellow"))


def warn_of_simulation(*, simulated: bool) -> None:
    """Print a warning to stderr if the TEE is simulated."""
    if simulated:
        click.secho(SIMULATED, fg="yellow", bold=True, err=True)


@contextmanager
def progress(what: str, total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on stderr if that is a terminal and `quiet` is false.

    The context's value is a function, to be called with the number of finished items so far.
    """
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
