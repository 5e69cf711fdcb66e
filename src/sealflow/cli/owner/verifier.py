"""CLI: `sealflow verifier`: appraises a service for others and signs passports about it."""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from sealflow.cli.connection import bare_host, connection_options
from sealflow.cli.screen import json_option, print_json, warn_of_simulation
from sealflow.files import file_errors, write_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealflow.attest.verifiers import TrustedVerifier
    from sealflow.cli.connection import Connection
    from sealflow.owner.verifier.appraisal import Appraiser

F = TypeVar("F", bound="Callable[..., Any]")

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_LIFETIME_S: Final = 3600

key_option = click.option(
    "--key",
    "key_file",
    type=_FILE,
    default="verifier.key",
    show_default=True,
    help="The verifier's private key, as `sealflow verifier init` writes it.",
)
name_option = click.option(
    "--name", default="verifier", show_default=True, help="What policies call this verifier."
)
origin_option = click.option(
    "--origin",
    metavar="NAME",
    required=True,
    help="Your name for this log, such as hospital.example/sealflow.",
)
lifetime_option = click.option(
    "--lifetime",
    "lifetime_s",
    type=click.IntRange(60, 7 * 86_400),
    default=_LIFETIME_S,
    show_default=True,
    help="How many seconds a passport lasts.",
)


def listen_options(port: int) -> Callable[[F], F]:
    """Return a decorator that adds `--host` and `--port`; `port` is the default one."""

    def add(command: F) -> F:
        host = click.option(
            "--host",
            default="127.0.0.1",
            callback=bare_host,
            show_default=True,
            help="Address to listen on.",
        )
        number = click.option(
            "--port",
            type=click.IntRange(0, 65_535),
            default=port,
            show_default=True,
            help="Port to listen on; 0 chooses a free one.",
        )
        return host(number(command))

    return add


@click.group()
def verifier() -> None:
    """Appraise a service for others: sign passports that small clients check instead of evidence.

    Whoever names your key in a policy trusts you as the vendor of the hardware.
    """


@verifier.command()
@key_option
@name_option
@click.option(
    "--curve",
    type=click.Choice(["Ed25519", "P-256"]),
    default="Ed25519",
    show_default=True,
    help="Kind of key. P-256 signs with ES256.",
)
@json_option
def init(key_file: Path, name: str, curve: str, *, as_json: bool) -> None:
    """Make a signing key, never over another file, and print what policies name it by."""
    from sealflow.owner.verifier.verifier_key import create_verifier_key

    _print_key(create_verifier_key(key_file, curve).trusted(name), as_json=as_json)


@verifier.command("key")
@key_option
@name_option
@json_option
def show_key(key_file: Path, name: str, *, as_json: bool) -> None:
    """Print what policies name the key by."""
    from sealflow.owner.verifier.verifier_key import load_verifier_key

    _print_key(load_verifier_key(key_file).trusted(name), as_json=as_json)


@verifier.command("appraise")
@key_option
@lifetime_option
@click.option("--out", type=_FILE, required=True, help="File to write the passport to.")
@connection_options
@json_option
def appraise_once(
    key_file: Path, lifetime_s: int, out: Path, connection: Connection, *, as_json: bool
) -> None:
    """Appraise the service's evidence once by --policy, and write a passport.

    Exit code 3: the evidence is not what the policy demands, and nothing is written.
    """
    from sealflow.clock import now_ms, utc_text
    from sealflow.owner.http.transport import HttpTransport
    from sealflow.owner.verifier.appraisal import fetch_evidence

    appraiser = _appraiser(key_file, connection, lifetime_s)
    transport = HttpTransport(connection.url, ca=connection.ca, connections=1)
    try:
        evidence = transport.run_steps(fetch_evidence())
    finally:
        transport.close()
    passport = appraiser.issue(evidence, now_ms())
    with file_errors(f"{out}: cannot write the passport"):
        write_file(out, passport.token.encode(), mode=0o644)
    if as_json:
        print_json(
            {
                "passport": str(out),
                "deployment": passport.deployment,
                "simulated": passport.simulated,
                "issued_ms": passport.issued_ms,
                "expires_ms": passport.expires_ms,
            }
        )
        return
    warn_of_simulation(simulated=passport.simulated)
    click.echo(
        f"{out}: passport of {passport.deployment}, valid until {utc_text(passport.expires_ms)}"
    )


@verifier.command()
@key_option
@lifetime_option
@listen_options(8480)
@connection_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object when ready.")
def serve(
    key_file: Path, lifetime_s: int, host: str, port: int, connection: Connection, *, as_json: bool
) -> None:
    """Answer GET /v1/passport with a passport that is renewed at half of its life.

    The command asks the gateway every 10 seconds whether the evidence changed. It serves plain
    HTTP: a passport is public and signed, so that anyone may carry it. It ends on SIGTERM.
    """
    from sealflow.errors import ConfigError
    from sealflow.owner.http.async_transport import AsyncHttpTransport
    from sealflow.owner.verifier.service import PassportService, ServiceAddress

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    appraiser = _appraiser(key_file, connection, lifetime_s)

    def ready(url: str) -> None:
        if as_json:
            print_json({"url": url})
        else:
            click.echo(url)

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        transport = AsyncHttpTransport(connection.url, ca=connection.ca, connections=1)
        service = PassportService(appraiser, transport)
        try:
            await service.serve(ServiceAddress(host=host, port=port), ready, stop)
        except OSError as error:
            raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}") from error

    asyncio.run(run())


def _appraiser(key_file: Path, connection: Connection, lifetime_s: int) -> Appraiser:
    from sealflow.owner.trust.policy_file import load_policy
    from sealflow.owner.verifier.appraisal import Appraiser
    from sealflow.owner.verifier.verifier_key import load_verifier_key

    key = load_verifier_key(key_file)
    return Appraiser(load_policy(connection.policy), key, lifetime_s=lifetime_s)


def _print_key(trusted: TrustedVerifier, *, as_json: bool) -> None:
    if as_json:
        print_json({"name": trusted.name, "key": trusted.jwk, "key_id": trusted.key_id})
        return
    key = ", ".join(f'{name} = "{value}"' for name, value in trusted.jwk.items())
    click.echo("# For policy files. With `instead_of_evidence = true` no evidence is appraised.")
    click.echo(f'[[verifiers]]\nname = "{trusted.name}"\nkey = {{ {key} }}')
    click.echo("instead_of_evidence = false")
