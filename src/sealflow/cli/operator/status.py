"""CLI: `sealflow status`: shows the processes, models and queue of a running cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sealflow.cli.connection import connection_options
from sealflow.cli.screen import json_option, print_json, print_table, show_simulation
from sealflow.owner.http.gateway_api import fetch_status

if TYPE_CHECKING:
    from rich.table import Table

    from sealflow.cli.connection import Connection


@click.command()
@connection_options
@json_option
def status(
    connection: Connection,
    *,
    as_json: bool,
) -> None:
    """Show the processes, models and queue of a running cluster.

    These are the operator's words, and nothing proves them. `sealflow verify` shows what is proved.
    """
    found = fetch_status(connection.url, connection.ca)
    if as_json:
        print_json(found)
    else:
        show_simulation(simulated=says_simulated(found))
        print_table(status_table(found))


def says_simulated(found: dict[str, Any]) -> bool:
    """Return whether any process of the cluster reports a simulated TEE.

    `found`: the gateway's answer, as `fetch_status` returns it.
    """
    workers = (each for part in found["components"] for each in part.get("workers") or ())
    parts = (found, *found["components"], *workers)
    return any(each.get("simulated") is True for each in parts)


def status_table(found: dict[str, Any]) -> Table:
    """Return a table with a row for each process, whose title is the state of the queue."""
    from rich.table import Table
    from rich.text import Text

    queue = found["queue"]
    state = "ready" if found["ready"] else "not ready: " + "; ".join(found["reasons"])
    title = (
        f"{found['deployment']}: {state}   queue: {queue['waiting']} waiting, "
        f"{queue['in_work']} in flight, capacity {queue['capacity']}"
    )
    table = Table(title=Text(title), title_justify="left")
    for heading in ("process", "pid", "state", "served", "in flight", "CPU s", "memory", "models"):
        table.add_column(heading, justify="left" if heading in _LEFT else "right")
    for component in found["components"]:
        for row in _rows(component):
            table.add_row(*(Text(cell) for cell in row))
    return table


_LEFT = ("process", "state", "models")


def _rows(component: dict[str, Any]) -> list[list[str]]:
    rows = [_row(str(component.get("component")), component)]
    keybroker = component.get("keybroker")
    if isinstance(keybroker, dict):
        rows.append(_row("└ key broker", keybroker))
    rows += [_row("└ worker", worker) for worker in component.get("workers") or ()]
    return rows


def _row(name: str, facts: dict[str, Any]) -> list[str]:
    ready = facts.get("ready")
    state = "" if ready is None else "ready" if ready else "starting"
    if facts.get("restarts"):
        state += f", {facts['restarts']} restarts"
    cpu, memory = facts.get("cpu_s"), facts.get("rss_bytes")
    models = ", ".join(f"{each['name']}:{each['version']}" for each in facts.get("models") or ())
    return [
        name,
        str(facts.get("pid", "")),
        state,
        str(facts.get("served", "")),
        str(facts.get("in_flight", facts.get("waiting", ""))),
        "" if cpu is None else f"{cpu:.1f}",
        "" if not memory else f"{memory / 2**20:.0f} MiB",
        models,
    ]
