"""CLI: the options with which commands find a service, its policy and its queue."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sealflow.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealflow.owner import Client, QueueClient

F = TypeVar("F", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where a service is and what to demand of it."""

    url: str
    policy: Path
    broker_url: str | None
    ca: Path | None
    home: Path

    def client(self, *, connections: int = 64) -> Client:
        """A client of the gateway."""
        from sealflow.owner import Client

        return Client(self.url, policy=self.policy, ca=self.ca, connections=connections)

    def queue(self) -> QueueClient:
        """A client of the queue.

        Raises: ConfigError when its address is not known.
        """
        from sealflow.owner import QueueClient

        if self.broker_url is None:
            raise ConfigError("the queue's address is not known: give --broker-url")
        return QueueClient(self.broker_url, policy=self.policy, ca=self.ca)


def connection_options(command: F) -> F:
    """Add the options that `connect` takes."""
    for option in (
        click.option("--ca", type=click.Path(path_type=Path), help="PEM file of the TLS root."),
        click.option(
            "--broker-url", metavar="URL", help="The queue, for what goes straight to it."
        ),
        click.option("--policy", type=click.Path(path_type=Path), help="Whom to trust."),
        click.option("--url", metavar="URL", help="The gateway."),
        click.option(
            "--home",
            type=click.Path(path_type=Path),
            default=".sealflow",
            show_default=True,
            help="Folder of a cluster on this machine, which knows the other three.",
        ),
    ):
        command = option(command)
    return command


def connect(
    home: Path, url: str | None, policy: Path | None, broker_url: str | None, ca: Path | None
) -> Connection:
    """Find a service: what was given, else what runs in `home`.

    Raises: ConfigError that says how to start one.
    """
    from sealflow.cli.home import Home

    running = Home(home).running()
    if url is None:
        if running is None:
            raise ConfigError(
                f"no cluster runs in {home}: start one with `sealflow up`, or give --url and "
                "--policy of another"
            )
        url = str(running["url"])
        broker_url = broker_url or str(running["broker_url"])
    if policy is None:
        policy = Home(home).policy
    return Connection(url=url, policy=policy, broker_url=broker_url, ca=ca, home=home)
