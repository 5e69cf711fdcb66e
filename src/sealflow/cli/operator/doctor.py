"""CLI: `sealflow doctor`: what this machine lacks, and how to mend it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sealflow.cli.connection import broker_address, broker_options
from sealflow.cli.screen import json_option, print_json, print_table
from sealflow.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealflow.host.doctor.finding import Finding
    from sealflow.host.enclave.sgx import Machine

COLOURS = {"pass": "green", "warn": "yellow", "fail": "red"}
_FAILED = 1


@click.command()
@click.option(
    "--sgx-mode",
    type=click.Choice(["nonsgx", "sgx"]),
    default="nonsgx",
    show_default=True,
    help="What is to run here; the same word as in the settings.",
)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True)
@click.option("--enclaves", type=click.Path(path_type=Path), help="The signed enclaves' folder.")
@click.option("--pccs", metavar="URL", help="Instead of the one that the machine is set to.")
@click.option(
    "--pccs-ca",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="PEM root of its certificate: `ca_file` of `collateral`, or the chart's `sgx.pccsCa`.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where ports must be free.")
@click.option("--port", "ports", type=click.IntRange(1, 65535), multiple=True, default=(8470,))
@click.option("--flink-venv", type=click.Path(path_type=Path), help="Look at Flink and its Java.")
@click.option("--url", metavar="URL", help="A gateway, to compare clocks with.")
@click.option("--kubernetes", is_flag=True, help="Look at the cluster that kubectl knows.")
@click.option("--make-links", is_flag=True, help="Make /dev/sgx/* for old software, as root.")
@click.option("--root", type=click.Path(path_type=Path), default=Path("/"), hidden=True)
@broker_options
@json_option
def doctor(*, root: Path, make_links: bool, as_json: bool, **options: Any) -> None:
    """Say what this machine lacks for what is to run on it.

    Each line passes, warns or fails, with the fix. Exits with code 1 when a line fails.
    """
    from sealflow.host.enclave.sgx import Machine

    machine = Machine(root)
    if make_links:
        _make_links(machine)
    found = list(_look(machine, options))
    if as_json:
        counts = {name: sum(each.verdict == name for each in found) for name in COLOURS}
        print_json({"findings": [each.to_json() for each in found], **counts})
    else:
        _show(found)
    if any(each.verdict == "fail" for each in found):
        sys.exit(_FAILED)


def _look(machine: Machine, options: dict[str, Any]) -> Iterator[Finding]:
    from sealflow.host.doctor import enclave, network, programs
    from sealflow.host.doctor.finding import warned
    from sealflow.host.enclave.sgx import missing_for_sgx

    sgx = options["sgx_mode"] == "sgx"
    if sgx:
        yield from enclave.processor(machine)
        yield from enclave.devices(machine)
        yield from enclave.quoting(machine)
        yield from enclave.memory(machine, options["enclaves"], options["workers"])
        yield from network.pccs(machine, options["pccs"], options["pccs_ca"])
    elif missing := missing_for_sgx(machine):
        yield warned(
            "sgx",
            f"no enclaves here: {missing[0]}",
            "for trials nothing; `sealflow doctor --sgx-mode sgx` says all that is missing",
        )
    yield from programs.memory(machine.text("proc/meminfo"), options["workers"])
    yield from network.ports(options["host"], options["ports"])
    yield from programs.broker(broker_address(options))
    yield from programs.flink(options["flink_venv"])
    yield from programs.kubernetes(wanted=options["kubernetes"], sgx=sgx)
    yield from network.clock(options["url"])


def _make_links(machine: Machine) -> None:
    from sealflow.host.doctor.enclave import make_links

    try:
        for name in make_links(machine):
            click.echo(f"made {name}", err=True)
    except OSError as error:
        raise ConfigError(f"/dev/sgx: {error.strerror}; run it as root") from error


def _show(found: list[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for heading in ("", "check", "found", "fix"):
        table.add_column(heading, overflow="fold")
    for each in found:
        verdict = Text(each.verdict.value, style=COLOURS[each.verdict.value])
        table.add_row(verdict, Text(each.check), Text(each.detail), Text(each.fix))
    print_table(table)
