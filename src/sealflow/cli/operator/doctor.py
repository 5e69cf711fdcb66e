"""CLI: `sealflow doctor`: checks whether this machine can run Sealflow, with a fix per problem."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sealflow.cli.connection import bare_host, broker_address, broker_options
from sealflow.cli.screen import json_option, print_json, print_table

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
    help="TEE to run workers in, as `sgx_mode` in the settings: simulated (nonsgx) or SGX.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Number of workers that must fit into memory.",
)
@click.option("--enclaves", type=click.Path(path_type=Path), help="Folder of signed enclaves.")
@click.option(
    "--pccs", metavar="URL", help="URL of the PCCS.  [default: from /etc/sgx_default_qcnl.conf]"
)
@click.option(
    "--pccs-ca",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="PEM root certificate to verify the PCCS with: `ca_file` of `collateral` in the settings, "
    "`sgx.pccsCa` in the chart.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    callback=bare_host,
    show_default=True,
    help="Address on which ports must be free.",
)
@click.option(
    "--port",
    "ports",
    type=click.IntRange(1, 65535),
    multiple=True,
    default=(8470,),
    show_default=True,
    help="TCP port that must be free; repeatable.",
)
@click.option(
    "--flink-venv",
    type=click.Path(path_type=Path),
    help="Check Flink and Java of this Python environment.",
)
@click.option("--url", metavar="URL", help="URL of a gateway, to compare clocks with.")
@click.option("--kubernetes", is_flag=True, help="Check the cluster of kubectl's current context.")
@click.option(
    "--make-links",
    is_flag=True,
    help="Create links /dev/sgx/*, which old software uses; needs root.",
)
@click.option("--root", type=click.Path(path_type=Path), default=Path("/"), hidden=True)
@broker_options
@json_option
def doctor(*, root: Path, make_links: bool, as_json: bool, **options: Any) -> None:
    """Check whether this machine can run Sealflow, and say how to fix problems.

    Each check passes, warns or fails. The exit code is 1 when one fails.
    """
    from sealflow.host.enclave.sgx import Machine

    machine = Machine(root)
    if make_links:
        _make_links(machine)
    found = list(_run_checks(machine, options))
    if as_json:
        counts = {name: sum(each.verdict == name for each in found) for name in COLOURS}
        print_json({"findings": [each.to_json() for each in found], **counts})
    else:
        _show(found)
    if any(each.verdict == "fail" for each in found):
        sys.exit(_FAILED)


def _run_checks(machine: Machine, options: dict[str, Any]) -> Iterator[Finding]:
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
            f"SGX enclaves cannot run here: {missing[0]}",
            "not needed for trials; `sealflow doctor --sgx-mode sgx` lists everything missing",
        )
    yield from programs.memory(machine.text("proc/meminfo"), options["workers"])
    yield from network.ports(options["host"], options["ports"])
    yield from programs.broker(broker_address(options))
    yield from programs.flink(options["flink_venv"])
    yield from programs.kubernetes(wanted=options["kubernetes"], sgx=sgx)
    yield from network.clock(options["url"])


def _make_links(machine: Machine) -> None:
    from sealflow.files import file_errors
    from sealflow.host.doctor.enclave import make_links

    with file_errors("/dev/sgx", "run --make-links as root"):
        for name in make_links(machine):
            click.echo(f"made {name}", err=True)


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
