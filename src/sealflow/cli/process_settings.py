"""CLI: the settings of a cluster's processes, from what `sealflow up` was told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sealflow.attest.deployment import TIMES
from sealflow.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sealflow.cli.home import Home, Toml
    from sealflow.streams.address import BrokerAddress

    Settings = dict[str, Toml]

_OF_ENGINES: Final = ("workers", "threads", "runtime", "max_batch", "max_wait_ms")
_OF_TLS: Final = ("tls_certificate", "tls_key")


def process_settings(
    home: Home, broker: BrokerAddress, options: Mapping[str, Any], port: int
) -> dict[str, Settings]:
    """Give the settings file of each process by its name, in the order in which they start.

    `options`: those of `sealflow up`. `port`: the gateway's.
    """
    common: Settings = {f"broker_{name}": value for name, value in broker.as_json().items()}
    common["deployment"] = options["deployment"]
    trusted = {**common, **_trusted(home, options["enclaves"])}
    packages = {"packages_dir": str(home.packages.absolute())}
    controls = ("control", *(f"control-{n}" for n in range(2, options["keybrokers"] + 1)))
    return {
        **{
            name: {**trusted, "state_dir": str((home.keybroker / name).absolute())}
            for name in controls
        },
        "engine": {**trusted, **packages, **_engine(options), "instance": "up"},
        "gateway": {**common, **packages, **_gateway(options), "port": port},
    }


def deployment_times(given: Sequence[str]) -> dict[str, int]:
    """Read the times of a deployment, in seconds, from NAME=SECONDS.

    Raises: ConfigError.
    """
    times = {}
    for each in given:
        name, _, seconds = each.partition("=")
        if name not in TIMES or not seconds.isdecimal():
            raise ConfigError(f"--time {each}: write NAME=SECONDS, with one of {', '.join(TIMES)}")
        times[name] = int(seconds)
    return times


def _trusted(home: Home, enclaves: Path | None) -> Settings:
    files: Settings = {
        "deployment_file": str(home.deployment.absolute()),
        "simulated_platform_file": str(home.platform.absolute()),
        "logs_dir": str((home.path / "logs").absolute()),
    }
    return files if enclaves is None else {**files, "enclaves_dir": str(enclaves.absolute())}


def _engine(options: Mapping[str, Any]) -> Settings:
    settings: Settings = {name: options[name] for name in _OF_ENGINES}
    return {**settings, "worker_memory_bytes": (options["worker_memory"] or 0) * 2**20}


def _gateway(options: Mapping[str, Any]) -> Settings:
    tls = {name: str(options[name]) for name in _OF_TLS if options[name] is not None}
    return {"queue_capacity": options["queue_capacity"], "host": options["host"], **tls}
