"""Control requests: hosts' come first, and classes from outside take turns."""

from __future__ import annotations

import dataclasses

from sealflow.host.broker.redis_streams import Delivery
from sealflow.host.keybroker_host.control_turns import ControlTurns
from sealflow.streams.keys import ControlClass, control_class


def _delivery(kind: str, number: int) -> Delivery:
    return Delivery(
        entry_id=f"{kind}{number}".encode(),
        envelope=b"",
        correlation=b"",
        reply_to="",
        attempt=1,
        kind=kind.encode(),
    )


def _order(turns: ControlTurns) -> str:
    found = []
    while (delivery := turns.next()) is not None:
        found.append(delivery.entry_id.decode())
    return " ".join(found)


def test_hosts_come_first() -> None:
    """However much waits from outside."""
    turns = ControlTurns()
    turns.add([_delivery("read", 1), _delivery("publish", 1), _delivery("", 1), _delivery("", 2)])
    assert _order(turns) == "1 2 read1 publish1"
    assert len(turns) == 0


def test_classes_take_turns() -> None:
    """Many of one class delay one of another by one."""
    turns = ControlTurns()
    turns.add(_delivery("enroll", number) for number in range(4))
    first = turns.next()
    assert first is not None
    turns.add([_delivery("publish", 1), _delivery("publish", 2)])
    assert (first.entry_id, _order(turns)) == (
        b"enroll0",
        "enroll1 publish1 enroll2 publish2 enroll3",
    )


def test_an_unknown_class_is_read() -> None:
    """Nobody makes a class of its own."""
    turns = ControlTurns()
    turns.add([_delivery("read", 1), _delivery("mine", 1), _delivery("other", 1)])
    assert _order(turns) == "read1 mine1 other1"


def test_what_waits_is_bounded() -> None:
    """By number and by bytes."""
    by_number, by_bytes = ControlTurns(), ControlTurns()
    by_number.add(_delivery("", number) for number in range(511))
    assert not by_number.full
    by_number.add([_delivery("read", 1)])
    assert by_number.full
    large = dataclasses.replace(_delivery("read", 1), envelope=bytes(2**20))
    by_bytes.add([large] * 63)
    assert not by_bytes.full
    by_bytes.add([large])
    assert by_bytes.full


def test_operations_have_a_class() -> None:
    """What is no known operation is one to read."""
    assert control_class("publish") is control_class("revoke") is ControlClass.PUBLISH
    assert control_class("challenge") is control_class("join") is ControlClass.ENROLL
    assert (
        control_class("describe") is control_class(None) is control_class([]) is ControlClass.READ
    )
