"""The contract of the queue, over every server: bounded, at least once, answered in one step."""

from __future__ import annotations

import socket
import stat
import threading
from typing import TYPE_CHECKING, Any

import pytest
import valkey

from sealflow.errors import ConfigError, QueueFullError, UnavailableError
from sealflow.host.broker.embedded import SOCKET_NAME, server_command
from sealflow.host.broker.redis_streams import RedisStreams
from sealflow.owner.transport import StreamTransport
from sealflow.wire.broker_address import BrokerAddress
from sealflow.wire.queueing import Keyspace
from tests.sim.queue_server import Server

if TYPE_CHECKING:
    from pathlib import Path

KEYS = Keyspace(deployment="test")
STREAM = KEYS.requests
INBOX = KEYS.inbox("reader")


def _raw(server: Server) -> Any:
    return valkey.Valkey.from_url(server.url)


def _submit(server: Server, *envelopes: bytes, inbox: str = INBOX) -> None:
    raw = _raw(server)
    for number, envelope in enumerate(envelopes):
        raw.xadd(STREAM, {b"e": envelope, b"c": b"c%d" % number, b"r": inbox})


def _inbox(server: Server, name: str = INBOX) -> list[dict[bytes, bytes]]:
    return [fields for _, fields in _raw(server).xrange(name)]


def test_admission_is_bounded(server: Server) -> None:
    """A sender is told when the stream holds its capacity; nothing that waits is dropped."""
    transport = StreamTransport(BrokerAddress(url=server.url), "test")
    entries = [(f"{n:032x}", b"e%d" % n) for n in range(8)]
    assert transport.submit(entries, capacity=5) == [True] * 5 + [False] * 3
    assert _raw(server).xlen(STREAM) == 5
    transport.close()


def test_what_a_full_queue_refuses_does_not_travel(server: Server) -> None:
    """A sender learns that there is no room before it sends the bytes."""
    transport = StreamTransport(BrokerAddress(url=server.url), "test")
    _submit(server, b"first")
    before = _raw(server).info("stats")["total_net_input_bytes"]
    assert transport.submit([("id", bytes(2**20))], capacity=1) == [False]
    assert _raw(server).info("stats")["total_net_input_bytes"] - before < 2**16
    transport.close()


def test_entries_from_before_the_group_are_delivered(server: Server, streams: RedisStreams) -> None:
    """The group starts at the first entry, not at the newest."""
    _submit(server, b"early")
    streams.ensure_group(STREAM)
    streams.ensure_group(STREAM)
    (delivery,) = streams.claim(STREAM, "a", 10, 0)
    assert (delivery.envelope, delivery.correlation, delivery.attempt) == (b"early", b"c0", 1)


def test_a_claim_without_a_group_makes_one(server: Server, streams: RedisStreams) -> None:
    """A broker that lost everything is set up again."""
    _submit(server, b"one")
    assert streams.claim(STREAM, "a", 10, 0) == []
    assert len(streams.claim(STREAM, "a", 10, 0)) == 1


def test_answering_stores_acknowledges_and_deletes(server: Server, streams: RedisStreams) -> None:
    """After an answer the reply is in the inbox, with a time to live, and nothing is owed."""
    streams.ensure_group(STREAM)
    _submit(server, b"one", b"two")
    deliveries = streams.claim(STREAM, "a", 10, 0)
    assert streams.depth(STREAM).in_work == 2
    streams.answer(STREAM, [(each, b"re:" + each.envelope) for each in deliveries])
    assert _inbox(server) == [{b"e": b"re:one", b"c": b"c0"}, {b"e": b"re:two", b"c": b"c1"}]
    assert 0 < _raw(server).pttl(INBOX) <= 600_000
    assert _raw(server).xlen(STREAM) == 0
    depth = streams.depth(STREAM)
    assert (depth.waiting, depth.in_work) == (0, 0)


def test_what_a_dead_consumer_held_is_taken_over(server: Server, streams: RedisStreams) -> None:
    """Its entries go to another, with the attempts counted; what is answered is not."""
    streams.ensure_group(STREAM)
    _submit(server, b"one", b"two", b"three")
    first = streams.claim(STREAM, "dead", 3, 0)
    streams.answer(STREAM, [(first[0], b"done")])
    again = streams.stale(STREAM, "alive", 0, 10)
    assert [each.envelope for each in again] == [b"two", b"three"]
    assert {each.attempt for each in again} == {2}
    assert {each.attempt for each in streams.stale(STREAM, "third", 0, 10)} == {3}


def test_own_entries_are_recalled(server: Server, streams: RedisStreams) -> None:
    """A consumer of the same name gets what it held, and only that."""
    streams.ensure_group(STREAM)
    _submit(server, b"one", b"two")
    streams.claim(STREAM, "mine", 1, 0)
    streams.claim(STREAM, "other", 1, 0)
    assert [each.envelope for each in streams.stale(STREAM, "mine", 0, 10, of="mine")] == [b"one"]


def test_touching_keeps_entries(server: Server, streams: RedisStreams) -> None:
    """An entry that was touched is not idle; the others are."""
    streams.ensure_group(STREAM)
    _submit(server, b"one", b"two")
    one, _ = streams.claim(STREAM, "a", 2, 0)
    raw = _raw(server)
    while min(each["time_since_delivered"] for each in raw.xpending_range(
        STREAM, "sealflow", "-", "+", 10)) < 50:  # fmt: skip
        pass
    streams.touch(STREAM, "a", [one.entry_id])
    assert [each.envelope for each in streams.stale(STREAM, "b", 50, 10)] == [b"two"]


def test_malformed_entries_are_dropped(server: Server, streams: RedisStreams) -> None:
    """An entry that nobody could be answered for leaves the stream."""
    streams.ensure_group(STREAM)
    raw = _raw(server)
    raw.xadd(STREAM, {b"x": b"y"})
    raw.xadd(STREAM, {b"e": b"e", b"c": b"c", b"r": b"\xff\xfe"})
    _submit(server, b"good")
    assert [each.envelope for each in streams.claim(STREAM, "a", 10, 0)] == [b"good"]
    assert raw.xlen(STREAM) == 1


@pytest.mark.parametrize("inbox", [KEYS.directory, KEYS.requests, "elsewhere", ""])
def test_a_hostile_inbox_hurts_nobody_else(
    server: Server, streams: RedisStreams, inbox: str
) -> None:
    """A reply goes to inboxes of the deployment only; the other answers are stored."""
    streams.ensure_group(STREAM)
    raw = _raw(server)
    raw.set(KEYS.directory, b"directory")
    _submit(server, b"bad", inbox=inbox)
    _submit(server, b"good")
    deliveries = streams.claim(STREAM, "a", 10, 0)
    streams.answer(STREAM, [(each, b"reply") for each in deliveries])
    assert _inbox(server) == [{b"e": b"reply", b"c": b"c0"}]
    assert raw.get(KEYS.directory) == b"directory"
    assert raw.xlen(STREAM) == 0
    assert not raw.exists("elsewhere")


def test_an_inbox_that_is_no_stream(server: Server, streams: RedisStreams) -> None:
    """Its reply is lost, and nothing else."""
    streams.ensure_group(STREAM)
    _raw(server).set(KEYS.inbox("taken"), b"a string")
    _submit(server, b"bad", inbox=KEYS.inbox("taken"))
    _submit(server, b"good")
    deliveries = streams.claim(STREAM, "a", 10, 0)
    streams.answer(STREAM, [(each, b"reply") for each in deliveries])
    assert len(_inbox(server)) == 1


def test_dead_letters_are_kept_and_bounded(server: Server, streams: RedisStreams) -> None:
    """A poison request is set aside and its sender is told."""
    streams.ensure_group(STREAM)
    _submit(server, *(b"poison" for _ in range(120)))
    for delivery in streams.claim(STREAM, "a", 200, 0):
        streams.dead_letter(STREAM, delivery, b"refusal")
    raw = _raw(server)
    assert raw.xlen(KEYS.dead_letters(STREAM)) <= 200
    assert raw.xrange(KEYS.dead_letters(STREAM))[0][1][b"e"] == b"poison"
    assert len(_inbox(server)) == 120
    assert raw.xlen(STREAM) == 0


def test_asking_and_answering(server: Server, streams: RedisStreams) -> None:
    """A control request gets its own answer; without one, nothing after the time."""
    streams.ensure_group(KEYS.control)

    def answer() -> None:
        (delivery,) = streams.claim(KEYS.control, "k", 1, 5000)
        streams.answer(KEYS.control, [(delivery, b"re:" + delivery.envelope)])

    thread = threading.Thread(target=answer)
    thread.start()
    assert streams.ask(KEYS.control, b"ask", capacity=9, timeout_s=20) == b"re:ask"
    thread.join()
    assert streams.ask(KEYS.control, b"nobody", capacity=9, timeout_s=0.05) is None
    with pytest.raises(QueueFullError):
        streams.ask(KEYS.control, b"more", capacity=1, timeout_s=0.05)


def test_a_killed_server_keeps_what_it_held(server: Server, streams: RedisStreams) -> None:
    """Requests, what is in work and replies survive; meanwhile everything says unavailable."""
    streams.ensure_group(STREAM)
    _submit(server, b"one", b"two", b"three")
    held = streams.claim(STREAM, "a", 2, 0)
    streams.answer(STREAM, [(held[0], b"reply")])
    server.kill()
    with pytest.raises(UnavailableError):
        streams.claim(STREAM, "a", 1, 0)
    with pytest.raises(UnavailableError):
        streams.answer(STREAM, [(held[1], b"reply")])
    server.start()
    assert [each.envelope for each in streams.claim(STREAM, "a", 9, 0)] == [b"three"]
    streams.answer(STREAM, [(held[1], b"reply")])
    assert len(_inbox(server)) == 2
    assert streams.depth(STREAM).in_work == 1


def test_a_full_memory_is_a_full_queue(binary: str) -> None:
    """The server refuses rather than evicts, and that is said as what it is."""
    server = Server(binary, max_memory_bytes=8 * 2**20)
    try:
        transport = StreamTransport(BrokerAddress(url=server.url), "test")
        entries = [(f"{n:032x}", bytes(2**20)) for n in range(12)]
        accepted = transport.submit(entries, capacity=1000)
        assert not all(accepted)
        assert any(accepted)
        streams = RedisStreams(server.url)
        with pytest.raises(QueueFullError):
            streams.set_value("big", bytes(2**22))
        streams.close()
        transport.close()
    finally:
        server.remove()


def test_the_embedded_server_is_private(server: Server) -> None:
    """Folder and socket belong to this user alone, and no port is open."""
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((server.folder / SOCKET_NAME).stat().st_mode) == 0o700
    assert _raw(server).config_get("port")["port"] == "0"
    assert _raw(server).config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"


def test_bad_addresses_and_folders(tmp_path: Path) -> None:
    """They are refused before anything is started, with what to write instead."""
    for url in ("http://x", "redis", "unix://"):
        with pytest.raises(ConfigError, match="unix:///path"):
            RedisStreams(url)
    with pytest.raises(ConfigError, match="too long"):
        server_command(tmp_path / ("x" * 120), max_memory_bytes=2**26)


def test_no_room_for_an_answer(server: Server, streams: RedisStreams) -> None:
    """A broker without memory for an answer still owes its request, and stores it later."""
    raw = _raw(server)
    streams.ensure_group(STREAM)
    raw.xadd(STREAM, {"e": b"request", "c": b"id", "r": INBOX})
    [delivery] = streams.claim(STREAM, "engine", 9, 0)
    before = raw.config_get("maxmemory")["maxmemory"]
    raw.config_set("maxmemory", 2**10)
    with pytest.raises(QueueFullError, match="memory"):
        streams.answer(STREAM, [(delivery, b"answer")])
    assert streams.depth(STREAM).in_work == 1
    assert raw.xlen(INBOX) == 0
    raw.config_set("maxmemory", before)
    streams.answer(STREAM, [(delivery, b"answer")])
    assert streams.depth(STREAM).in_work == 0
    assert [fields[b"e"] for _, fields in raw.xrange(INBOX)] == [b"answer"]
    raw.close()


class _Forgetful:
    """Passes commands on to a server, and hangs up instead of passing on the answer to one."""

    def __init__(self, server: Server, word: bytes) -> None:
        """Listen; `word` is in the command whose answer is lost, once."""
        self._path = str(server.folder / SOCKET_NAME)
        self._word: bytes | None = word
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(self._path)
            while command := client.recv(65536):
                server.sendall(command)
                answer = server.recv(65536)
                if self._word is not None and self._word in command:
                    self._word = None
                    return
                client.sendall(answer)

    def close(self) -> None:
        """Take no more."""
        self._listening.close()


def test_an_answer_survives_its_lost_deletion(server: Server) -> None:
    """What a client has read is not lost with the answer to its deletion."""
    proxy = _Forgetful(server, b"XDEL")
    transport = StreamTransport(BrokerAddress(url=f"valkey://127.0.0.1:{proxy.port}"), "test")
    raw = _raw(server)
    assert transport.submit([("id", b"request")], capacity=9) == [True]
    [(_, fields)] = raw.xrange(STREAM)
    got: list[bytes] = []
    for text in (b"first", b"second"):
        raw.xadd(fields[b"r"], {"e": text, "c": b"id"})
        for _ in range(3):
            try:
                got += [envelope for _, envelope in transport.receive(0)]
            except UnavailableError:
                continue
    assert got == [b"first", b"second"]
    transport.close()
    proxy.close()
    raw.close()
