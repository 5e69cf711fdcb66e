"""CLI: `sealflow bench`, the end-to-end benchmark."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealflow.cli.connection import connection_options
from sealflow.cli.screen import (
    json_option,
    print_json,
    print_table,
    progress,
    strip_control_characters,
    warn_of_simulation,
)
from sealflow.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealflow.cli.bench.inputs import BenchInputs
    from sealflow.cli.bench.load import BenchRun
    from sealflow.cli.bench.report import BenchReport, Processes
    from sealflow.cli.connection import Connection
    from sealflow.owner.client.client import Client

MAX_WRONG_SHOWN = 10


@click.command()
@click.option("-n", "count", type=click.IntRange(1), default=1000, show_default=True)
@click.option(
    "-i",
    "--images",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="Images, or folders of them, sent in turn.",
)
@click.option("--tensor", is_flag=True, help="Send random tensors instead; needs -m.")
@click.option("-m", "--model", metavar="NAME[:VERSION]", help="Needed when several take images.")
@click.option("-k", "--top-k", type=click.IntRange(1, 1000), default=5, show_default=True)
@click.option(
    "--via",
    type=click.Choice(["queue", "gateway"]),
    help="[default: the queue when its address is known]",
)
@click.option(
    "-c",
    "--concurrency",
    type=click.IntRange(1),
    help="Requests at a time, through the gateway.  [default: 64]",
)
@click.option("--rate", type=click.FloatRange(0), default=0.0, help="Open loop: requests a second.")
@click.option("--plot", "plot_path", type=click.Path(path_type=Path, dir_okay=False))
@connection_options
@json_option
def bench(
    count: int,
    images: tuple[Path, ...],
    tensor: bool,
    model: str | None,
    top_k: int,
    via: str | None,
    concurrency: int | None,
    rate: float,
    plot_path: Path | None,
    connection: Connection,
    *,
    as_json: bool,
) -> None:
    """Push N images, pull N answers, check every one of them, and measure.

    Fails with exit code 5 unless every request came back exactly once with the right answer.
    """
    if plot_path is not None:
        # If it is missing, say so before the run, not after it.
        importlib.import_module("matplotlib")
    if via is None:
        via = "gateway" if concurrency or connection.broker is None else "queue"
    with connection.client() as client:
        simulated = client.verify().simulated
        work = _work(client, model, images, top_k, tensor=tensor)
    run, report = _measured(connection, work, count, via, concurrency or 64, rate, quiet=as_json)
    if plot_path is not None:
        from sealflow.cli.bench.report import plot

        plot(run.samples, report, plot_path)
    if as_json:
        print_json({"via": via, "simulated": simulated, **report.to_json()})
        return
    warn_of_simulation(simulated=simulated)
    _print(report, via)
    if plot_path is not None:
        click.echo(f"plot: {plot_path}")


def _measured(
    connection: Connection,
    work: BenchInputs,
    count: int,
    via: str,
    concurrency: int,
    rate: float,
    *,
    quiet: bool,
) -> tuple[BenchRun, BenchReport]:
    from sealflow.cli.bench.report import BenchReport, latencies

    processes = _processes(connection)
    before = processes.cpu_s()
    with progress(f"Benchmark by {via}", count, quiet=quiet) as advance:
        if via == "queue":
            run = _by_queue(connection, work, count, rate, advance)
        else:
            run = asyncio.run(_by_gateway(connection, work, count, concurrency, rate, advance))
    after = processes.cpu_s()
    _check(run, count)
    return run, BenchReport(
        served=len(run.samples),
        seconds=run.seconds,
        push_seconds=run.push_seconds,
        latency_ms=latencies(run.samples),
        cpu_s_per_1000={
            name: 1000 * (after[name] - before[name]) / count
            for name in sorted(after)
            if after[name] > 0
        },
        what=work.what,
    )


def _processes(connection: Connection) -> Processes:
    """All that the cluster reports, and on this machine its queue."""
    from sealflow.cli.bench.report import Processes
    from sealflow.local.home import ClusterHome
    from sealflow.owner.http.gateway_api import fetch_status

    running = ClusterHome(connection.home).endpoint() or {}
    pids = running.get("pids")
    broker = {"queue": pids["broker"]} if isinstance(pids, dict) and "broker" in pids else {}
    return Processes.from_status(fetch_status(connection.url, connection.ca), broker)


def _work(
    client: Client, model: str | None, images: tuple[Path, ...], top_k: int, *, tensor: bool
) -> BenchInputs:
    from sealflow.cli.bench.inputs import image_work, tensor_work
    from sealflow.cli.owner.infer import image_model

    models = client.verify().models
    if not tensor:
        if not images:
            raise ConfigError("give -i with images or a folder of them, or --tensor")
        return image_work(client, model or image_model(models), images, top_k)
    name, _, version = (model or "").partition(":")
    for each in models:
        if each.name == name and (each.version == version if version else each.default):
            return tensor_work(client, each)
    raise ConfigError(f"--tensor needs -m with one of: {', '.join(m.name for m in models)}")


def _by_queue(
    connection: Connection,
    work: BenchInputs,
    count: int,
    rate: float,
    advance: Callable[[int], None],
) -> BenchRun:
    from sealflow.cli.bench.load import by_queue

    with connection.queue() as queue:
        queue.verify()
        return by_queue(queue, work, count, rate, advance)


async def _by_gateway(
    connection: Connection,
    work: BenchInputs,
    count: int,
    concurrency: int,
    rate: float,
    advance: Callable[[int], None],
) -> BenchRun:
    from sealflow.cli.bench.load import by_gateway
    from sealflow.owner import AsyncClient

    async with AsyncClient(
        connection.url, policy=connection.policy, ca=connection.ca, connections=max(concurrency, 64)
    ) as client:
        await client.verify()
        return await by_gateway(client, work, count, concurrency, rate, advance)


def _check(run: BenchRun, count: int) -> None:
    missing = count - len(run.seen)
    if run.wrong or missing:
        for line in run.wrong[:MAX_WRONG_SHOWN]:
            click.secho(strip_control_characters(line), fg="red", err=True)
        raise ModelError(f"{len(run.wrong)} wrong answers, {missing} missing, of {count}")


def _print(report: BenchReport, via: str) -> None:
    from rich.table import Table

    click.echo(report.headline)
    latency = ", ".join(f"{name} {value:.1f} ms" for name, value in report.latency_ms.items())
    click.echo(f"latency by {via}: {latency}")
    table = Table()
    table.add_column("process")
    table.add_column(f"CPU-seconds per 1000 {report.what}", justify="right")
    for name, value in report.cpu_s_per_1000.items():
        table.add_row(name, f"{value:.3f}")
    table.add_section()
    table.add_row("all", f"{sum(report.cpu_s_per_1000.values()):.3f}")
    print_table(table)
