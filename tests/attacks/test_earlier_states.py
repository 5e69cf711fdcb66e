"""A sealed state that does not open is no dead end: row 112 of docs/threat-model.md."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.documents.directory import Directory, SignedDirectory
from sealflow.errors import ConfigError
from sealflow.host.keybroker_host.host import KeyBrokerHost
from sealflow.streams.keys import Keyspace
from tests.support.cluster.hosted_keybroker import HostedKeyBroker
from tests.support.cluster.local_cluster import sealflow

if TYPE_CHECKING:
    from pathlib import Path

    from sealflow.host.broker.redis_streams import RedisStreams
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


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `sealflow state`."""
    return subprocess.run(
        sealflow("state", *arguments), capture_output=True, text=True, timeout=60, check=False
    )


def test_112_damaged_state(
    server: QueueServer, streams: RedisStreams, raw: Any, tmp_path: Path
) -> None:
    """The operator is told what to do, and one command goes on from an earlier state."""
    with HostedKeyBroker(server, state_dir=tmp_path) as host:
        first = published(streams)
        host.stop()
        host.start()
        second = published(streams, first.version)
        assert command("restore", str(host.file), "0", "--yes").returncode == 2
        host.stop()
        [archive] = [path for path in tmp_path.iterdir() if path.is_dir()]
        number = int(raw.hget(KEYS.keybroker_state, "number"))
        damaged = number.to_bytes(8) + b"x" * 500
        (archive / "state").write_bytes(damaged)
        raw.hset(KEYS.keybroker_state, "state", damaged[8:])
        with pytest.raises(ConfigError, match="sealflow state list"):
            KeyBrokerHost(host.config).run_until_stopped()
        kept = [
            int(line.split()[0]) for line in command("list", str(host.file)).stdout.splitlines()
        ]
        assert kept[0] == number
        for wrong in ("999999", str(number + 1)):
            answer = command("restore", str(host.file), wrong, "--yes")
            assert (answer.returncode, "is not kept" in answer.stderr) == (2, True)
        answer = command("restore", str(host.file), str(kept[1]), "--yes")
        assert answer.returncode == 0, answer.stderr
        host.start()
        third = published(streams, second.version - 1)
        assert third.log_id == first.log_id
        log = (archive / "log.jsonl").read_text().splitlines()
        assert len(log) > kept[1]
        assert all(json.loads(line)["entry"] for line in log)
        assert (archive / f"replaced-{number + 1}" / "log.jsonl").exists()
