"""CLI: `sealflow state`: lists a key broker's earlier sealed states, and returns to one of them."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealflow.cli.screen import json_option, print_json
from sealflow.clock import utc_text
from sealflow.errors import ConfigError

if TYPE_CHECKING:
    from sealflow.host.keybroker_host.config import KeyBrokerHostConfig
    from sealflow.host.keybroker_host.earlier_states import EarlierStates

_CONFIG = click.argument(
    "config", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="CONFIG"
)


@click.group()
def state() -> None:
    """Return a key broker to an earlier sealed state."""


@state.command("list")
@_CONFIG
@json_option
def list_states(config: Path, *, as_json: bool) -> None:
    """List the earlier states of a key broker host.

    CONFIG is the settings file of its process, which has `state_dir`.
    """
    states, _, _ = _open(config)
    if as_json:
        print_json(
            [{"number": each.number, "written_s": each.written_s} for each in states.listed()]
        )
        return
    for each in states.listed():
        click.echo(f"{each.number}  {utc_text(1000 * each.written_s)}")


@state.command("restore")
@_CONFIG
@click.argument("number", type=click.IntRange(0))
@click.confirmation_option(
    prompt="Clients and workers that saw a later directory refuse what follows. Go on?"
)
@json_option
def restore_state(config: Path, number: int, *, as_json: bool) -> None:
    """Return to the earlier state NUMBER, which `sealflow state list` shows.

    Stop all key broker hosts of the deployment first. What was published or revoked after that
    state is gone: publish and revoke it again. What is replaced stays in the folder, as
    `replaced-N`. Other instances need an empty `state_dir` then; they join again.
    """
    from sealflow.host.broker.keybroker_records import KeyBrokerRecords
    from sealflow.host.broker.redis_streams import RedisStreams
    from sealflow.streams.keys import Keyspace
    from sealflow.wire.domain import TrustDomain

    states, settings, digest = _open(config)
    broker = RedisStreams(settings.broker)
    records = KeyBrokerRecords(
        broker,
        Keyspace(deployment=settings.deployment),
        instance=secrets.token_hex(8),
        deployment_digest=digest,
        domain=TrustDomain.HARDWARE,  # nothing of the log is stored here
        lease_ms=settings.leader_lease_ms,
    )
    try:
        if (leader := records.leader()) is not None:
            raise ConfigError(
                f"the key broker host {leader} leads, or its lease has not ended: stop all key "
                "broker hosts, and try again"
            )
        states.return_to(number)
        records.discard()
    finally:
        broker.close()
    if as_json:
        print_json({"number": number})
    else:
        click.echo(f"The next start goes on from state {number}.")


def _open(config: Path) -> tuple[EarlierStates, KeyBrokerHostConfig, str]:
    from sealflow.host.keybroker_host.config import KeyBrokerHostConfig
    from sealflow.host.keybroker_host.state_archive import StateArchive
    from sealflow.host.settings import load_settings, read_file

    settings = load_settings(config, KeyBrokerHostConfig)
    if settings.state_dir is None:
        raise ConfigError(f"{config} has no state_dir, so no earlier states are kept")
    deployment = read_file(settings.deployment_file, "deployment_file")
    digest = hashlib.sha256(deployment).hexdigest()
    return StateArchive(Path(settings.state_dir), digest).earlier, settings, digest
