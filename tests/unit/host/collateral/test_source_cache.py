"""When collateral is fetched, kept and fetched anew, and what happens while nobody serves it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import UnavailableError
from tests.support.attestation.collateral_sources import (
    AT_S,
    RECORDED,
    TCB_PATH,
    WANT,
    Clock,
    source,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.network.web_server import WebServer


def test_cache(tmp_path: Path, pccs: WebServer) -> None:
    """Collateral is fetched once, kept on disk, and fetched anew when half of its time is gone."""
    clock = Clock(AT_S - 10 * 86_400)
    first = source(tmp_path, pccs.url, clock).get(WANT)
    assert len(pccs.calls) == 4
    # Another process of the machine finds the same.
    other = source(tmp_path, pccs.url, clock)
    assert other.get(WANT) == first
    assert len(pccs.calls) == 4
    clock.now_s = AT_S + 10 * 86_400
    assert other.get(WANT) == first
    assert len(pccs.calls) == 8


def test_away(tmp_path: Path, pccs: WebServer) -> None:
    """While the server is away the cache serves until its end; then the error says all of it."""
    clock = Clock(AT_S + 86_400)
    first = source(tmp_path, pccs.url, clock).get(WANT)
    url = pccs.url
    pccs.stop()
    later = source(tmp_path, url, clock)
    assert later.get(WANT) == first
    end_s = datetime.fromisoformat("2025-07-19T10:00:35+00:00").timestamp()
    clock.now_s = end_s - 1
    assert later.get(WANT) == first
    clock.now_s = end_s
    with pytest.raises(UnavailableError, match="expired on 2025-07-19 10:00 UTC") as caught:
        later.get(WANT)
    assert url in str(caught.value)


def test_never_there(tmp_path: Path, pccs: WebServer) -> None:
    """Without cache and server the error names the address."""
    url = pccs.url
    pccs.stop()
    with pytest.raises(UnavailableError, match=f"no collateral: {url}"):
        source(tmp_path, url).get(WANT)


def test_pause(tmp_path: Path, pccs: WebServer) -> None:
    """A server that fails is left alone for a minute, and the same error is given."""
    clock = Clock(AT_S)
    answer = pccs.answers.pop(TCB_PATH)
    asked = source(tmp_path, pccs.url, clock)
    for _ in range(3):
        with pytest.raises(UnavailableError, match="404"):
            asked.get(WANT)
    assert pccs.calls == [TCB_PATH]
    pccs.answers[TCB_PATH] = answer
    clock.now_s += 61
    assert asked.get(WANT)


def test_lagging_mirror(tmp_path: Path, pccs: WebServer) -> None:
    """An answer that ends earlier than what is cached does not replace it."""
    clock = Clock(AT_S + 10 * 86_400)
    first = source(tmp_path, pccs.url, clock).get(WANT)
    status, headers, body = pccs.answers[TCB_PATH]
    older = body.replace(b'"nextUpdate":"2025-07-19T', b'"nextUpdate":"2025-07-18T')
    assert older != body
    pccs.answers[TCB_PATH] = (status, headers, older)
    assert source(tmp_path, pccs.url, clock).get(WANT) == first


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"x" * (3 * 2**20), b'{"collateral":"","issued_s":"a","expires_s":1}']
)
def test_broken_cache(tmp_path: Path, pccs: WebServer, content: bytes) -> None:
    """A cache file that cannot be read is fetched anew."""
    first = source(tmp_path, pccs.url).get(WANT)
    (path,) = (tmp_path / "cache").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(content)
    assert source(tmp_path, pccs.url).get(WANT) == first
    assert len(pccs.calls) == 8


def test_unwritable_cache(tmp_path: Path, pccs: WebServer) -> None:
    """Where the cache cannot be written the collateral is given all the same."""
    asked = source(tmp_path, pccs.url)
    (tmp_path / "cache").rmdir()
    (tmp_path / "cache").write_bytes(b"")
    assert json.loads(asked.get(WANT)) == json.loads(RECORDED)
