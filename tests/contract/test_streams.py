"""The contract of the queue, over every server: at least once, answered in one step."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import QueueFullError
from tests.support.queue.streams import INBOX, KEYS, STREAM, inbox_of, raw_client, submit_envelope

if TYPE_CHECKING:
    from sealflow.host.broker.redis_streams import RedisStreams
    from tests.support.queue.server import QueueServer


def test_entries_from_before_the_group_are_delivered(
    server: QueueServer, streams: RedisStreams
) -> None:
    """The group starts at the first entry, not at the newest."""
    submit_envelope(server, b"early")
    streams.ensure_group(STREAM)
    streams.ensure_group(STREAM)
    (delivery,) = streams.claim(STREAM, "a", 10, 0)
    assert (delivery.envelope, delivery.correlation, delivery.attempt) == (b"early", b"c0", 1)


def test_a_claim_without_a_group_makes_one(server: QueueServer, streams: RedisStreams) -> None:
    """A broker that lost everything is set up again."""
    submit_envelope(server, b"one")
    assert streams.claim(STREAM, "a", 10, 0) == []
    assert len(streams.claim(STREAM, "a", 10, 0)) == 1


def test_answering_stores_acknowledges_and_deletes(
    server: QueueServer, streams: RedisStreams
) -> None:
    """After an answer the reply is in the inbox, with a time to live, and nothing is owed."""
    streams.ensure_group(STREAM)
    submit_envelope(server, b"one", b"two")
    deliveries = streams.claim(STREAM, "a", 10, 0)
    assert streams.depth(STREAM).in_work == 2
    streams.answer(STREAM, [(each, b"re:" + each.envelope) for each in deliveries])
    assert inbox_of(server) == [{b"e": b"re:one", b"c": b"c0"}, {b"e": b"re:two", b"c": b"c1"}]
    assert 0 < raw_client(server).pttl(INBOX) <= 600_000
    assert raw_client(server).xlen(STREAM) == 0
    depth = streams.depth(STREAM)
    assert (depth.waiting, depth.in_work) == (0, 0)


def test_what_a_dead_consumer_held_is_taken_over(
    server: QueueServer, streams: RedisStreams
) -> None:
    """Its entries go to another, with the attempts counted; what is answered is not."""
    streams.ensure_group(STREAM)
    submit_envelope(server, b"one", b"two", b"three")
    first = streams.claim(STREAM, "dead", 3, 0)
    streams.answer(STREAM, [(first[0], b"done")])
    again = streams.claim_stale(STREAM, "alive", 0, 10)
    assert [each.envelope for each in again] == [b"two", b"three"]
    assert {each.attempt for each in again} == {2}
    assert {each.attempt for each in streams.claim_stale(STREAM, "third", 0, 10)} == {3}


def test_own_entries_are_recalled(server: QueueServer, streams: RedisStreams) -> None:
    """A consumer of the same name gets what it held, and only that."""
    streams.ensure_group(STREAM)
    submit_envelope(server, b"one", b"two")
    streams.claim(STREAM, "mine", 1, 0)
    streams.claim(STREAM, "other", 1, 0)
    assert [each.envelope for each in streams.claim_stale(STREAM, "mine", 0, 10, of="mine")] == [
        b"one"
    ]


def test_touching_keeps_entries(server: QueueServer, streams: RedisStreams) -> None:
    """An entry that was touched is not idle; the others are."""
    streams.ensure_group(STREAM)
    submit_envelope(server, b"one", b"two")
    one, _ = streams.claim(STREAM, "a", 2, 0)
    raw = raw_client(server)
    while min(each["time_since_delivered"] for each in raw.xpending_range(
        STREAM, "sealflow", "-", "+", 10)) < 50:  # fmt: skip
        pass
    streams.touch(STREAM, "a", [one.entry_id])
    assert [each.envelope for each in streams.claim_stale(STREAM, "b", 50, 10)] == [b"two"]


def test_malformed_entries_are_dropped(server: QueueServer, streams: RedisStreams) -> None:
    """An entry that nobody could be answered for leaves the stream."""
    streams.ensure_group(STREAM)
    raw = raw_client(server)
    raw.xadd(STREAM, {b"x": b"y"})
    raw.xadd(STREAM, {b"e": b"e", b"c": b"c", b"r": b"\xff\xfe"})
    submit_envelope(server, b"good")
    assert [each.envelope for each in streams.claim(STREAM, "a", 10, 0)] == [b"good"]
    assert raw.xlen(STREAM) == 1


def test_dead_letters_are_kept_and_bounded(server: QueueServer, streams: RedisStreams) -> None:
    """A poison request is set aside and its sender is told."""
    streams.ensure_group(STREAM)
    submit_envelope(server, *(b"poison" for _ in range(120)))
    for delivery in streams.claim(STREAM, "a", 200, 0):
        streams.dead_letter(STREAM, delivery, b"refusal")
    raw = raw_client(server)
    assert raw.xlen(KEYS.dead_letters(STREAM)) <= 200
    assert raw.xrange(KEYS.dead_letters(STREAM))[0][1][b"e"] == b"poison"
    assert len(inbox_of(server)) == 120
    assert raw.xlen(STREAM) == 0


def test_asking_and_answering(server: QueueServer, streams: RedisStreams) -> None:
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
