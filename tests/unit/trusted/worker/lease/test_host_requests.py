"""Questions to the host: one at a time, answers in order, nothing believed or kept too long."""

from __future__ import annotations

import pytest

from sealflow.errors import MalformedError, UnavailableError
from sealflow.trusted.worker.lease import host_requests
from sealflow.trusted.worker.lease.host_requests import ClosedError, HostRequests
from sealflow.wire.frames import FrameKind, encode_chunk
from tests.support.trusted.recorded_port import RecordedPort

DIGEST = "ab" * 32


class Answering(RecordedPort):
    """A host that answers each question with frames made beforehand."""

    def __init__(self, *answers: tuple[FrameKind, bytes] | None) -> None:
        """Answer all of them at the first question; None closes."""
        super().__init__()
        self.answers = answers
        self.messages = HostRequests(self.port)

    def send(self, kind: FrameKind, payload: bytes) -> None:
        """Keep the question and answer it."""
        super().send(kind, payload)
        for answer in self.answers:
            if answer is None:
                self.messages.close()
            else:
                self.messages.deliver_answer(answer[0], memoryview(answer[1]))


def _piece(
    offset: int, total: int, content: bytes, digest: str = DIGEST
) -> tuple[FrameKind, bytes]:
    return FrameKind.PACKAGE, encode_chunk(bytes.fromhex(digest), offset, total, content)


def test_the_key_brokers_answer_comes_back() -> None:
    """The question goes out as canonical JSON."""
    host = Answering((FrameKind.CONTROL, b'{"a":1}'))
    assert host.messages.ask_key_broker({"op": "describe"}) == {"a": 1}
    assert host.frames == [(FrameKind.CONTROL, b'{"op":"describe"}')]


def test_an_empty_answer_means_away() -> None:
    """The host could not reach the key broker."""
    with pytest.raises(UnavailableError, match="could not reach"):
        Answering((FrameKind.CONTROL, b"")).messages.ask_key_broker({})


@pytest.mark.parametrize("answer", [b"[]", b"nonsense", b'{"a":1,"a":2}'])
def test_an_answer_must_be_an_object(answer: bytes) -> None:
    """The host's word is parsed strictly."""
    with pytest.raises(MalformedError):
        Answering((FrameKind.CONTROL, answer)).messages.ask_key_broker({})


def test_an_answer_must_be_to_the_question() -> None:
    """A package is no answer of the key broker, and waits for whom it is meant."""
    host = Answering(_piece(0, 1, b"x"), (FrameKind.CONTROL, b"{}"))
    assert host.messages.ask_key_broker({}) == {}


def test_a_package_comes_in_pieces() -> None:
    """They are put together in their order."""
    host = Answering(_piece(0, 5, b"ab"), _piece(2, 5, b"c"), _piece(3, 5, b"de"))
    assert host.messages.fetch_package(DIGEST) == b"abcde"
    assert host.frames == [(FrameKind.WANT, bytes.fromhex(DIGEST))]


def test_a_package_may_be_absent() -> None:
    """A total of nothing says so."""
    assert Answering(_piece(0, 0, b"")).messages.fetch_package(DIGEST) is None


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([_piece(1, 5, b"ab")], "out of place"),
        ([_piece(0, 5, b"ab"), _piece(0, 5, b"ab")], "out of place"),
        ([_piece(0, 5, b"ab"), _piece(3, 5, b"ab")], "out of place"),
        ([_piece(0, 2, b"ab", digest="cd" * 32)], "out of place"),
        ([_piece(0, 2**40, b"ab")], "over the limit"),
        ([_piece(0, 5, b"")], "an empty piece"),
        ([(FrameKind.PACKAGE, b"short")], "too short"),
    ],
)
def test_pieces_must_follow_each_other(answers: list[tuple[FrameKind, bytes]], reason: str) -> None:
    """A host can neither leave out nor repeat, announce too much nor go on for ever."""
    with pytest.raises(MalformedError, match=reason):
        Answering(*answers).messages.fetch_package(DIGEST)


def test_a_late_answer_is_no_answer_to_the_next_question() -> None:
    """What came for a question that was given up is thrown away."""
    host = Answering((FrameKind.CONTROL, b'{"new":1}'))
    host.messages.deliver_answer(FrameKind.CONTROL, memoryview(b'{"old":1}'))
    host.messages.deliver_answer(*_late())
    assert host.messages.ask_key_broker({}) == {"new": 1}


def _late() -> tuple[FrameKind, memoryview]:
    kind, payload = _piece(0, 1, b"x")
    return kind, memoryview(payload)


def test_a_silent_host_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The question is given up."""
    monkeypatch.setattr(host_requests, "ANSWER_TIMEOUT_S", 0.001)
    with pytest.raises(UnavailableError, match="does not answer"):
        Answering().messages.ask_key_broker({})


def test_a_closed_pipe_ends_every_question() -> None:
    """The one under way, and all that would follow."""
    host = Answering(None)
    with pytest.raises(ClosedError):
        host.messages.ask_key_broker({})
    host = Answering()
    host.messages.deliver_answer(*_late())
    host.messages.close()
    for _ in range(2):
        with pytest.raises(ClosedError):
            host.messages.fetch_package(DIGEST)
    assert host.frames == []
