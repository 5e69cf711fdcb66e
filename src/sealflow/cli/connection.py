"""CLI: the options with which commands find a service, its policy and its queue."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sealflow.errors import ConfigError
from sealflow.streams.address import BrokerAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealflow.owner import Client, QueueClient

F = TypeVar("F", bound="Callable[..., Any]")

_FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where a service is and what to demand of it."""

    url: str
    policy: Path
    broker: BrokerAddress | None
    ca: Path | None
    home: Path

    @property
    def pin(self) -> Path:
        """Where the newest directory is remembered: beside the policy."""
        return self.policy.with_suffix(".pin")

    def client(self, *, connections: int = 64) -> Client:
        """A client of the gateway."""
        from sealflow.owner import Client

        return Client(
            self.url, policy=self.policy, ca=self.ca, pin=self.pin, connections=connections
        )

    def queue(self) -> QueueClient:
        """A client of the queue.

        Raises: ConfigError when its address is not known.
        """
        from sealflow.owner import QueueClient

        if self.broker is None:
            raise ConfigError("the queue's address is not known: give --broker-url")
        return QueueClient(self.broker, policy=self.policy, pin=self.pin)


def broker_options(command: F) -> F:
    """Add the options that `broker_address` takes."""
    for option in (
        click.option("--broker-key", type=_FILE, help="PEM of its key."),
        click.option("--broker-certificate", type=_FILE, help="PEM of our certificate for it."),
        click.option("--broker-ca", type=_FILE, help="PEM of the root of its certificate."),
        click.option("--broker-password-file", type=_FILE, help="One line: our password there."),
        click.option(
            "--broker-url",
            metavar="URL",
            help="The queue: unix:///path, valkeys://user@host:port, sentinels://host,host/group…",
        ),
    ):
        command = option(command)
    return command


def broker_address(options: Mapping[str, Any]) -> BrokerAddress | None:
    """Return what `broker_options` took; None without a URL.

    Raises: ConfigError.
    """
    files = {
        name: str(options[f"broker_{option}"].absolute())
        for name, option in (
            ("password_file", "password_file"),
            ("ca_file", "ca"),
            ("certificate_file", "certificate"),
            ("key_file", "key"),
        )
        if options[f"broker_{option}"] is not None
    }
    url = options["broker_url"]
    if url is None and files:
        raise ConfigError("give --broker-url with the other options of the broker")
    return None if url is None else BrokerAddress(url=url, **files)


def connection_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that find a service; the command gets them as one `connection`.

    A command's own argument `address` is the gateway too.
    """

    @broker_options
    @click.option("--ca", type=_FILE, help="PEM of the root of the gateway's certificate.")
    @click.option("--policy", type=_FILE, help="Whom to trust.")
    @click.option("--url", metavar="URL", help="The gateway.")
    @click.option(
        "--home",
        type=click.Path(path_type=Path, file_okay=False),
        default=".sealflow",
        show_default=True,
        help="Folder of a cluster on this machine, which knows the others.",
    )
    @functools.wraps(command)
    def connected(**options: Any) -> None:
        rest = {name: options[name] for name in options if name not in _TAKEN}
        command(connection=_connect(options), **rest)

    return connected


_TAKEN = (
    "home",
    "url",
    "address",
    "policy",
    "ca",
    "broker_url",
    "broker_password_file",
    "broker_ca",
    "broker_certificate",
    "broker_key",
)


def _connect(options: Mapping[str, Any]) -> Connection:
    """Find a service: what was given, else what runs in the home.

    Raises: ConfigError that says how to start one.
    """
    from sealflow.local.home import ClusterHome

    home, ca = ClusterHome(options["home"]), options["ca"]
    url = options["url"] or options.get("address")
    broker = broker_address(options)
    if url is None:
        running = home.endpoint()
        if running is None:
            raise ConfigError(
                f"no cluster runs in {home.path}: start one with `sealflow up`, or give --url and "
                "--policy of another"
            )
        url = running["url"]
        broker = broker or BrokerAddress(**running["broker"])
        ca = ca or (None if running["ca"] is None else Path(running["ca"]))
    policy = options["policy"] or home.policy
    return Connection(url=url, policy=policy, broker=broker, ca=ca, home=home.path)
