"""CLI: `sealflow flink`: the engine's job on a Flink session cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from sealflow.cli.screen import json_option, print_json, print_table
from sealflow.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

    from sealflow.host.engine.flink.rest import FlinkRest

_METRICS_S: Final = 6.0
_COLUMNS: Final = {
    "requests": ("requests",),
    "refused": ("refusals",),
    "in flight": ("in_flight",),
    "queue": ("queue_lag",),
    "batch p50/p99": ("batch_size_p50", "batch_size_p99"),
    "ms p50/p99": ("round_trip_ms_p50", "round_trip_ms_p99"),
    "restarts": ("worker_restarts",),
}

F = TypeVar("F", bound="Callable[..., Any]")


@click.group()
def flink() -> None:
    """Submit, watch, stop the engine's job on Apache Flink.

    Whoever can do this can run any code on the TaskManagers, outside the enclaves: they can stop
    the service, and read nothing that is sealed.
    """


def rest_options(command: F) -> F:
    """Add the options that `_reach` takes."""
    for option in (
        click.option(
            "--tls",
            type=click.Path(path_type=Path, file_okay=False),
            help="Folder with ca.crt, tls.crt, tls.key, for https: keys/submit of `sealflow keys`.",
        ),
        click.option("--rest", metavar="URL", help="The JobManager."),
        click.option(
            "--home",
            type=click.Path(path_type=Path),
            default=".sealflow",
            show_default=True,
            help="Folder of a cluster on this machine, which knows the other two.",
        ),
    ):
        command = option(command)
    return command


@flink.command()
@click.argument("job", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--flink-venv",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(sys.prefix).with_name(".venv-flink"),
    help="Flink's own Python environment: `make flink`, or the extra `flink` installed in one.",
)
@json_option
def submit(job: Path, flink_venv: Path, *, as_json: bool) -> None:
    """Submit the job that JOB, a TOML file, describes; docs/guide/flink.md lists its settings."""
    import tempfile

    from sealflow.host.engine.flink.settings import FlinkInstall, FlinkJob
    from sealflow.host.settings import load_settings
    from sealflow.local.flink_cluster import check_rsa
    from sealflow.local.flink_launch import finished_submission, start_submission

    settings = load_settings(job, FlinkJob)
    if settings.rest_url is None:
        raise ConfigError(f"{job}: rest_url says which cluster, for example https://host:8081")
    if settings.keystore is not None:
        check_rsa(Path(settings.keystore), settings.password())
    install = FlinkInstall.find(flink_venv)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "submit.log"
        job_id = finished_submission(start_submission(install, job, log), log)
    if as_json:
        print_json({"job": job_id})
    else:
        click.echo(job_id)


@flink.command()
@rest_options
@json_option
def status(home: Path, rest: str | None, tls: Path | None, *, as_json: bool) -> None:
    """Show the cluster, its jobs, and what each subtask does."""
    client = _reach(home, rest, tls)
    overview = client.overview()
    jobs = client.jobs()
    for job in jobs:
        running = job["state"] == "RUNNING"
        job["subtasks"] = client.metrics(str(job["jid"]), _METRICS_S) if running else []
    if as_json:
        print_json({"url": client.url, "overview": overview, "jobs": jobs})
        return
    click.echo(
        f"{client.url}: Flink {overview['flink-version']}, {overview['taskmanagers']} "
        f"TaskManagers, {overview['slots-available']} of {overview['slots-total']} slots free"
    )
    for job in jobs:
        print_table(_table(job))


@flink.command()
@click.argument("job_id", required=False)
@rest_options
@click.option("--timeout", "timeout_s", type=click.FloatRange(1), default=60.0, show_default=True)
@click.option("--savepoints", metavar="URI", help="Where, if the cluster has no place of its own.")
@json_option
def stop(
    job_id: str | None,
    home: Path,
    rest: str | None,
    tls: Path | None,
    timeout_s: float,
    savepoints: str | None,
    *,
    as_json: bool,
) -> None:
    """Answer what is in work, then end the job (the only one, or JOB_ID)."""
    client = _reach(home, rest, tls)
    job_id = job_id or _only_job(client)
    client.stop_job(job_id, timeout_s, savepoints)
    _print_ended(job_id, client.await_end(job_id, timeout_s), as_json=as_json)


@flink.command()
@click.argument("job_id", required=False)
@rest_options
@click.option("--timeout", "timeout_s", type=click.FloatRange(1), default=60.0, show_default=True)
@json_option
def cancel(
    job_id: str | None,
    home: Path,
    rest: str | None,
    tls: Path | None,
    timeout_s: float,
    *,
    as_json: bool,
) -> None:
    """End the job at once; what it had in work waits for the next one."""
    client = _reach(home, rest, tls)
    job_id = job_id or _only_job(client)
    client.cancel(job_id)
    _print_ended(job_id, client.await_end(job_id, timeout_s), as_json=as_json)


def _print_ended(job_id: str, state: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"job": job_id, "state": state})
    else:
        click.echo(f"{job_id} {state}")


def _reach(home: Path, rest: str | None, tls: Path | None) -> FlinkRest:
    from sealflow.host.engine.flink.rest import FlinkRest
    from sealflow.local.flink_cluster import client_tls
    from sealflow.local.home import ClusterHome

    if rest is None:
        facts = (ClusterHome(home).endpoint() or {}).get("flink")
        if not isinstance(facts, dict):
            raise ConfigError(
                f"no Flink runs in {home}: start one with `sealflow up --engine flink`, or give "
                "--rest and --tls of another"
            )
        rest, tls = str(facts["url"]), tls or Path(facts["tls"])
    return FlinkRest(rest, None if tls is None else client_tls(tls))


def _only_job(client: FlinkRest) -> str:
    from sealflow.host.engine.flink.rest import RUNNING

    jobs = [job for job in client.jobs() if job["state"] in RUNNING]
    if len(jobs) != 1:
        found = ", ".join(f"{job['jid']} ({job['name']})" for job in jobs) or "none"
        raise ConfigError(f"say which job: these run: {found}")
    return str(jobs[0]["jid"])


def _table(job: dict[str, Any]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(f"{job['name']} {job['jid']}: {job['state']}"), title_justify="left")
    for heading in ("subtask", *_COLUMNS):
        table.add_column(heading, justify="right")
    for number, figures in enumerate(job["subtasks"]):
        cells = (
            "/".join(str(figures.get(name, "")) for name in names) for names in _COLUMNS.values()
        )
        table.add_row(str(number), *cells)
    return table
