"""CLI: `sealflow log witness`: signs that a service showed it one history of its log alone."""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealflow.cli.connection import connection_options
from sealflow.cli.owner.verifier import key_option, listen_options
from sealflow.cli.screen import print_json

if TYPE_CHECKING:
    from sealflow.cli.connection import Connection


@click.command()
@key_option
@click.option(
    "--name",
    required=True,
    help="The witness's name, such as witness.example/1, which policies name it by.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    default="witness.pin",
    show_default=True,
    help="File that remembers the newest head that was signed. Never delete it.",
)
@listen_options(8490)
@connection_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object when ready.")
def witness(
    key_file: Path,
    name: str,
    state: Path,
    host: str,
    port: int,
    connection: Connection,
    *,
    as_json: bool,
) -> None:
    """Answer GET /v1/cosignature with a signature over the newest head of the service's log.

    The command asks the gateway every second for the directory, verifies it by --policy, and signs
    only what continues everything that it signed before. It prints the key that policies name it
    by. It ends on SIGTERM. Make the key with `sealflow verifier init --key FILE`.
    """
    from sealflow.errors import ConfigError
    from sealflow.owner.http.async_transport import AsyncHttpTransport
    from sealflow.owner.trust.policy_file import load_policy
    from sealflow.owner.verifier.service import ServiceAddress
    from sealflow.owner.verifier.verifier_key import load_verifier_key
    from sealflow.owner.verifier.witness import WitnessService

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    policy = load_policy(connection.policy)
    service = WitnessService(policy, state, load_verifier_key(key_file), name)
    vkey = service.witness.to_text()

    def ready(url: str) -> None:
        if as_json:
            print_json({"url": url, "vkey": vkey})
        else:
            click.echo(f"{url}\n{vkey}")

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        transport = AsyncHttpTransport(connection.url, ca=connection.ca, connections=1)
        try:
            address = ServiceAddress(host=host, port=port)
            await service.serve(transport, address, ready, stop)
        except OSError as error:
            raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}") from error

    asyncio.run(run())
