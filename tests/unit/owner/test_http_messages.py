"""HTTP as clients speak it: addresses, what is sent, what is taken back."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealflow.errors import ConfigError, UnavailableError
from sealflow.owner import http_messages
from sealflow.owner.http_messages import Address, AnswerReader, body_pieces, request_head
from sealflow.owner.steps import Answer, Ask

if TYPE_CHECKING:
    from pathlib import Path

ANSWER = (
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\ncontent-length: 5\r\n\r\nabcde"
)  # fmt: skip


def read(*pieces: bytes) -> tuple[Answer | None, AnswerReader]:
    """Feed pieces to a reader."""
    reader = AnswerReader()
    answer = None
    for piece in pieces:
        answer = reader.take(piece)
    return answer, reader


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "path"),
    [
        ("http://127.0.0.1:8470", "127.0.0.1", 8470, False, ""),
        ("https://serving.example", "serving.example", 443, True, ""),
        ("http://[::1]:81/under/here/", "::1", 81, False, "/under/here"),
    ],
)
def test_addresses(url: str, host: str, port: int, path: str, *, tls: bool) -> None:
    """A URL names a host, a port or the scheme's own, and what stands before every path."""
    address = Address.parse(url)
    assert (address.host, address.port, address.tls, address.path) == (host, port, tls, path)


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8470", "ftp://host", "http://", "http://h:99999", "http://h:x", "http://h/a b",
        "http://h\r\nx: y", "http://grüße.example", "http://me:word@host", "http://h/?q=1",
    ],
)  # fmt: skip
def test_no_addresses(url: str) -> None:
    """What is no plain address of a gateway is refused before anything is sent."""
    with pytest.raises(ConfigError, match="gateway URL"):
        Address.parse(url)


def test_password_is_not_repeated() -> None:
    """A password in a URL does not come back in the error."""
    with pytest.raises(ConfigError) as caught:
        Address.parse("http://me:secret@host")
    assert "secret" not in str(caught.value)


def test_head() -> None:
    """A request says whom it is for, its headers, and how long its body is."""
    ask = Ask(method="POST", path="/v1/x?wait=1", body=b"123", headers={"a": "b"}, timeout_s=1)
    head = request_head(Address.parse("http://h:81/p"), ask)
    assert head.startswith(b"POST /p/v1/x?wait=1 HTTP/1.1\r\nhost: h:81\r\n")
    assert b"\r\na: b\r\n" in head
    assert head.endswith(b"\r\ncontent-length: 3\r\n\r\n")


def test_head_without_body() -> None:
    """A request without a body announces none."""
    head = request_head(Address.parse("http://h"), Ask(method="GET", path="/", timeout_s=1))
    assert b"content-length" not in head


def test_file(tmp_path: Path) -> None:
    """A file goes out in pieces that make the whole, and its length is announced."""
    content = bytes(range(256)) * 3000
    file = tmp_path / "package"
    file.write_bytes(content)
    ask = Ask(method="PUT", path="/", body=file, timeout_s=1)
    assert f"content-length: {len(content)}".encode() in request_head(
        Address.parse("http://h"), ask
    )
    pieces = list(body_pieces(file))
    assert b"".join(pieces) == content
    assert len(pieces) > 2


def test_absent_file(tmp_path: Path) -> None:
    """A file that cannot be read is the caller's to correct."""
    ask = Ask(method="PUT", path="/", body=tmp_path / "absent", timeout_s=1)
    with pytest.raises(ConfigError, match="absent: No such file"):
        request_head(Address.parse("http://h"), ask)
    with pytest.raises(ConfigError, match="absent: No such file"):
        list(body_pieces(tmp_path / "absent"))


@given(st.lists(st.integers(1, len(ANSWER) - 1), max_size=8))
def test_any_pieces(cuts: list[int]) -> None:
    """However its bytes come apart, an answer is the same, and no sooner complete."""
    edges = [0, *sorted(set(cuts)), len(ANSWER)]
    pieces = [ANSWER[start:end] for start, end in pairwise(edges)]
    assert read(*pieces[:-1])[0] is None or len(pieces) == 1
    answer, reader = read(*pieces)
    assert answer is not None
    assert (answer.status, answer.body, answer.headers["retry-after"]) == (429, b"abcde", "7")
    assert reader.reusable


def test_chunks() -> None:
    """An answer in chunks is put together."""
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    answer, reader = read(head + b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n")
    assert answer is not None
    assert answer.body == b"abcde"
    assert reader.reusable


def test_interim_answers() -> None:
    """An interim answer is stepped over, headers and all."""
    answer, _ = read(b"HTTP/1.1 100 Continue\r\nretry-after: 1\r\n\r\n", ANSWER)
    assert answer is not None
    assert (answer.status, answer.headers["retry-after"]) == (429, "7")


def test_until_the_end() -> None:
    """An answer without a length ends with its connection, which is then of no more use."""
    answer, reader = read(b"HTTP/1.1 200 OK\r\n\r\nab", b"cd", b"")
    assert answer is not None
    assert answer.body == b"abcd"
    assert not reader.reusable


@pytest.mark.parametrize("end", range(len(ANSWER)))
def test_truncated(end: int) -> None:
    """An answer that ends early is none."""
    with pytest.raises(UnavailableError, match="before the answer did"):
        read(*filter(None, [ANSWER[:end]]), b"")


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    ],
)
def test_no_answer(data: bytes) -> None:
    """What is no answer of HTTP/1.1, or could be read in two ways, is refused."""
    with pytest.raises(UnavailableError, match="not HTTP"):
        read(data)


@pytest.mark.parametrize("surplus", [b"x", ANSWER])
def test_surplus(surplus: bytes) -> None:
    """What comes after an answer does not change it, and ends the connection's use."""
    answer, reader = read(ANSWER + surplus)
    assert answer is not None
    assert (answer.status, answer.body) == (429, b"abcde")
    assert not reader.reusable


def test_closing() -> None:
    """A gateway that says it will close the connection is believed."""
    answer, reader = read(ANSWER.replace(b"Retry-After: 7", b"connection: close"))
    assert answer is not None
    assert not reader.reusable


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 3000,
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 500,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
        b"HTTP/1.1 200 OK\r\ncontent-length: 3000\r\n\r\n" + b"y" * 3000,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"y" * 3000,
    ],
)
def test_limit(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """No part of an answer can grow over the limit."""
    monkeypatch.setattr(http_messages, "MAX_ANSWER_BYTES", 2000)
    with pytest.raises(UnavailableError, match="over 2000 bytes"):
        read(*(data[at : at + 100] for at in range(0, len(data), 100)))
