"""CLI: `sealflow status`: shows the processes, models and queue of a running cluster."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from sealflow.cli.connection import connection_options
from sealflow.cli.screen import json_option, print_json, print_table, show_simulation
from sealflow.errors import ConfigError
from sealflow.owner.http.gateway_api import fetch_status
from sealflow.wire.fields import MAX_TIME_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from sealflow.cli.connection import Connection
    from sealflow.wire.status import (
        ClusterStatus,
        ComponentStatus,
        KeyBrokerStatus,
        QuarantinedModel,
        WorkerStatus,
    )


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
        print_json(found.to_json())
    else:
        show_simulation(simulated=found.says_simulated)
        print_table(status_table(found))
        for model in quarantined(found):
            until = datetime.fromtimestamp(min(model.until_ms or 0, MAX_TIME_MS) // 1000, UTC)
            click.echo(
                f"quarantined until {until:%H:%M:%S} UTC after {model.failures} failures "
                f"({model.reason}): {model.digest}; `sealflow release` has it tried again"
            )


def quarantined(found: ClusterStatus) -> list[QuarantinedModel]:
    """Return the models that engines have quarantined, each once."""
    models = (model for component in found.components for model in component.quarantine or ())
    return list({model.digest: model for model in models}.values())


@click.command()
@click.argument("digests", nargs=-1, required=True, metavar="DIGEST…")
@connection_options
@json_option
def release(connection: Connection, *, digests: tuple[str, ...], as_json: bool) -> None:
    """Have models tried again that the engines quarantined; `sealflow status` lists them.

    A model is quarantined when it has ended or hung its process three times, for pauses that grow.
    """
    from sealflow.host.broker.redis_streams import RedisStreams
    from sealflow.streams.keys import Keyspace
    from sealflow.wire.ids import parse_digest

    if connection.broker is None:
        raise ConfigError("the queue's address is not known: add --broker-url")
    deployment = fetch_status(connection.url, connection.ca).deployment
    key = Keyspace(deployment=deployment).quarantine
    broker = RedisStreams(connection.broker)
    try:
        for digest in map(parse_digest, digests):
            if not broker.delete_hash_field(key, digest):
                raise ConfigError(
                    f"no failures of {digest} are known: `sealflow status` lists all quarantined"
                )
            if not as_json:
                click.echo(f"released {digest}: engines try it again within seconds")
    finally:
        broker.close()
    if as_json:
        print_json({"released": list(digests)})


def status_table(found: ClusterStatus) -> Table:
    """Return a table with a row for each process, whose title is the state of the queue."""
    from rich.table import Table
    from rich.text import Text

    queue = found.queue
    state = "ready" if found.ready else "not ready: " + "; ".join(found.reasons)
    title = (
        f"{found.deployment}: {state}   queue: {queue.waiting} waiting, "
        f"{queue.in_work} in flight, capacity {queue.capacity}"
    )
    table = Table(title=Text(title), title_justify="left")
    for heading in ("process", "pid", "state", "served", "in flight", "CPU s", "memory", "models"):
        table.add_column(heading, justify="left" if heading in _LEFT else "right")
    for component in found.components:
        for row in _rows(component):
            table.add_row(*(Text(cell) for cell in row))
    return table


_LEFT = ("process", "state", "models")


def _rows(component: ComponentStatus) -> Iterator[list[str]]:
    yield _row(component.component, component, served=component.served, work=component.waiting)
    keybroker = component.keybroker
    if keybroker is not None:
        yield _row("└ key broker", keybroker, state=_state(keybroker.ready))
    for worker in component.workers or ():
        yield _row(
            "└ worker" if worker.serves is None else f"└ worker of {worker.serves[:8]}",
            worker,
            state=_state(worker.ready, worker.restarts),
            served=worker.served,
            work=worker.in_flight,
            models=", ".join(f"{each.name}:{each.version}" for each in worker.models),
        )


def _row(
    name: str,
    process: ComponentStatus | KeyBrokerStatus | WorkerStatus,
    *,
    state: str = "",
    served: float | None = None,
    work: float | None = None,
    models: str = "",
) -> list[str]:
    cpu_s, rss_bytes = process.cpu_s, process.rss_bytes
    return [
        name,
        _text(process.pid),
        state,
        _text(served),
        _text(work),
        "" if cpu_s is None else f"{cpu_s:.1f}",
        "" if not rss_bytes else f"{rss_bytes / 2**20:.0f} MiB",
        models,
    ]


def _state(ready: bool | None, restarts: float | None = None) -> str:
    state = "" if ready is None else "ready" if ready else "starting"
    return f"{state}, {restarts} restarts" if restarts else state


def _text(value: float | None) -> str:
    return "" if value is None else str(value)
