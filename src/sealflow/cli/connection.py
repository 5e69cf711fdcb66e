"""CLI: the options for a service's addresses, certificates and policy, and clients made of them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sealflow.errors import ConfigError
from sealflow.streams.address import BrokerAddress, without_brackets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealflow.owner import Client, QueueClient

F = TypeVar("F", bound="Callable[..., Any]")

_FILE = click.Path(path_type=Path, dir_okay=False)


def bare_host(context: click.Context, option: click.Parameter, value: str) -> str:
    """Return the value of `--host` as sockets take it."""
    del context, option
    return without_brackets(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """The addresses of a service, the root of its certificate, and the policy to verify it by.

    `broker`: address of the queue; None if it is not known. `ca`: PEM file of the root; None for
    the roots of the system.
    """

    url: str
    policy: Path
    broker: BrokerAddress | None
    ca: Path | None
    tenant_token: Path | None
    home: Path

    @property
    def pin(self) -> Path:
        """The file of the newest accepted directory: the policy's name with the suffix `.pin`."""
        from sealflow.owner.trust.policy_file import pin_path

        return pin_path(self.policy)

    def client(self, *, connections: int = 64, accept_gap: bool = False) -> Client:
        """Return a client of the gateway with at most `connections` TCP connections.

        `accept_gap`: as in `Client`.
        """
        from sealflow.owner import Client

        return Client(
            self.url,
            policy=self.policy,
            ca=self.ca,
            pin=self.pin,
            accept_gap=accept_gap,
            connections=connections,
            tenant_token=self.tenant_token,
        )

    def queue(self) -> QueueClient:
        """Return a client of the queue.

        Raises: ConfigError when the queue's address is not known.
        """
        from sealflow.owner import QueueClient

        if self.broker is None:
            raise ConfigError("the queue's address is not known: add --broker-url")
        return QueueClient(
            self.broker, policy=self.policy, pin=self.pin, tenant_token=self.tenant_token
        )


def broker_options(command: F) -> F:
    """Add the options of the broker's address, from which `broker_address` makes one."""
    for option in (
        click.option("--broker-key", type=_FILE, help="PEM private key of --broker-certificate."),
        click.option(
            "--broker-certificate", type=_FILE, help="PEM client certificate for the broker."
        ),
        click.option(
            "--broker-ca", type=_FILE, help="PEM root certificate to verify the broker with."
        ),
        click.option(
            "--broker-password-file", type=_FILE, help="File with the broker password, one line."
        ),
        click.option(
            "--broker-url",
            metavar="URL",
            help="Address of the queue's broker (Redis or Valkey): unix:///path, "
            "valkeys://user@host:port, sentinels://host,host/group…",
        ),
    ):
        command = option(command)
    return command


def broker_address(options: Mapping[str, Any]) -> BrokerAddress | None:
    """Return the broker's address from the options of `broker_options`; None without a URL.

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
        raise ConfigError("the other options of the broker need an address: add --broker-url")
    return None if url is None else BrokerAddress(url=url, **files)


def connection_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a service's addresses, which the command gets as one `connection`.

    If the command has an argument `address`, that is used as `--url`.
    """

    @broker_options
    @click.option(
        "--tenant-token",
        type=_FILE,
        envvar="SEALFLOW_TENANT_TOKEN",
        help="File with a tenant's token, where the deployment serves tenants.",
    )
    @click.option("--ca", type=_FILE, help="PEM root certificate to verify the gateway with.")
    @click.option(
        "--policy", type=_FILE, help="Policy file.  [default: client.toml in the folder --home]"
    )
    @click.option("--url", metavar="URL", help="URL of the gateway.")
    @click.option(
        "--home",
        type=click.Path(path_type=Path, file_okay=False),
        default=".sealflow",
        show_default=True,
        help="Folder of a cluster that `sealflow up` runs here: its addresses are the defaults.",
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
    "tenant_token",
    "broker_url",
    "broker_password_file",
    "broker_ca",
    "broker_certificate",
    "broker_key",
)


def _connect(options: Mapping[str, Any]) -> Connection:
    """Return the connection that the options describe, else that of the cluster in the home.

    Raises: ConfigError when there is neither a URL nor a running cluster.
    """
    from sealflow.local.home import ClusterHome

    home, ca = ClusterHome(options["home"]), options["ca"]
    url = options["url"] or options.get("address")
    broker = broker_address(options)
    if url is None:
        running = home.endpoint()
        if running is None:
            raise ConfigError(
                f"no cluster runs in {home.path}: start one with `sealflow up`, or name another "
                "with --url and --policy"
            )
        url = running["url"]
        broker = broker or BrokerAddress(**running["broker"])
        ca = ca or (None if running["ca"] is None else Path(running["ca"]))
    policy = options["policy"] or home.policy
    return Connection(
        url=url,
        policy=policy,
        broker=broker,
        ca=ca,
        tenant_token=options["tenant_token"],
        home=home.path,
    )
