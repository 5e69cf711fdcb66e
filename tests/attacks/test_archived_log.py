"""A broker that no longer has the log: rows 140 and 141 of docs/threat-model.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sealflow.attest.evidence import Role
from sealflow.documents.directory import Directory, SignedDirectory
from sealflow.owner import Client
from sealflow.streams.keys import Keyspace
from tests.support.cluster.gateway import GatewayProcess
from tests.support.cluster.hosted_keybroker import HostedKeyBroker

if TYPE_CHECKING:
    from pathlib import Path

    from sealflow.host.broker.redis_streams import RedisStreams
    from sealflow.owner import TrustPolicy
    from tests.support.queue.server import QueueServer

KEYS = Keyspace(deployment="test")


def published(streams: RedisStreams, after: int = 0) -> Directory:
    """The directory at the broker, once it has a version over `after`."""
    while True:
        document = streams.get(KEYS.directory)
        if document is not None:
            payload = SignedDirectory.from_bytes(document).payload
            directory = Directory.unverified_from_bytes(payload)
            if directory.version > after:
                return directory


def next_versions(host: HostedKeyBroker, streams: RedisStreams, count: int) -> Directory:
    """Start the key broker anew some times, so that the log grows; gives the newest directory."""
    newest = published(streams)
    for _ in range(count):
        host.stop()
        host.start()
        newest = published(streams, newest.version)
    return newest


def seen(server: QueueServer, policy: TrustPolicy, pin: Path) -> int:
    """The version that a client accepts by a gateway that keeps no earlier one."""
    with GatewayProcess(server) as gateway, Client(gateway.url, policy=policy, pin=pin) as client:
        return client.verify().directory_version


def test_140_records_gone(
    server: QueueServer, streams: RedisStreams, raw: Any, tmp_path: Path
) -> None:
    """A client follows by a proof where the records in between are gone from the broker."""
    pin = tmp_path / "client.pin"
    with HostedKeyBroker(server, state_dir=tmp_path) as host:
        first = published(streams)
        policy = host.made.deployment.policy(Role.KEY_BROKER)
        assert seen(server, policy, pin) == first.version
        newest = next_versions(host, streams, 3)
        raw.xtrim(KEYS.log, maxlen=0, approximate=False)
        assert seen(server, policy, pin) == newest.version


def test_141_tree_from_the_archive(
    server: QueueServer, streams: RedisStreams, raw: Any, tmp_path: Path
) -> None:
    """A broker that lost the digests has them again from the archive, as soon as one leads."""
    pin = tmp_path / "client.pin"
    with HostedKeyBroker(server, state_dir=tmp_path) as host:
        published(streams)
        policy = host.made.deployment.policy(Role.KEY_BROKER)
        seen(server, policy, pin)
        next_versions(host, streams, 2)
        raw.delete(KEYS.log_tree, KEYS.log)
        newest = next_versions(host, streams, 1)
        raw.xtrim(KEYS.log, maxlen=0, approximate=False)
        assert raw.strlen(KEYS.log_tree) == 32 * (newest.log_number + 2)
        assert seen(server, policy, pin) == newest.version
