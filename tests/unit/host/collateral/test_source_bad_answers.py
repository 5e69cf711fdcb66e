"""Web servers that answer wrongly, without end, slowly or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sealflow.errors import UnavailableError
from tests.support.attestation.collateral_sources import (
    AT_S,
    CRL_PATH,
    QE_PATH,
    ROOT_PATH,
    TCB_PATH,
    WANT,
    Clock,
    source,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from tests.support.network.web_server import WebServer


def refused(tmp_path: Path, pccs: WebServer, **changes: Any) -> str:
    """Ask for what cannot be had and give the error's text."""
    with pytest.raises(UnavailableError) as caught:
        source(tmp_path, pccs.url, **changes).get(WANT)
    return str(caught.value)


@pytest.mark.parametrize("path", [TCB_PATH, QE_PATH, CRL_PATH, ROOT_PATH])
@pytest.mark.parametrize("status", [301, 404, 429, 500, 503])
def test_statuses(tmp_path: Path, pccs: WebServer, path: str, status: int) -> None:
    """Any status but 200 is an error that names the address."""
    pccs.answers[path] = (status, {"Location": "http://127.0.0.1:1/"}, b"{}")
    message = refused(tmp_path, pccs)
    assert str(status) in message
    assert path in message


@pytest.mark.parametrize("path", [TCB_PATH, QE_PATH, CRL_PATH, ROOT_PATH])
@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"", b"{}", b"\xff\xfe", b"[" * 99_999])
def test_html(tmp_path: Path, pccs: WebServer, path: str, body: bytes) -> None:
    """A page of a proxy, or anything else that is no collateral, is an error with a hint."""
    _, headers, _ = pccs.answers[path]
    pccs.answers[path] = (200, headers, body)
    message = refused(tmp_path, pccs)
    assert "is pccs_url the address of a PCCS of version 4?" in message
    assert path in message
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("path", [TCB_PATH, QE_PATH, CRL_PATH])
def test_missing_chains(tmp_path: Path, pccs: WebServer, path: str) -> None:
    """An answer without the chain in its headers is an error that names the header."""
    status, _, body = pccs.answers[path]
    pccs.answers[path] = (status, {}, body)
    assert "issuer-chain" in refused(tmp_path, pccs) or "crl-issuer" in refused(tmp_path, pccs)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"issueDate":"20', '"issueDate":"x'),
        lambda text: text.replace('"nextUpdate"', '"nextupdate"'),
        lambda text: text[:-40] + '"}',
        lambda text: text.replace('{"tcbInfo":{', '{"tcbInfo":[{'),
    ],
)
def test_broken_info(tmp_path: Path, pccs: WebServer, change: Callable[[str], str]) -> None:
    """TCB info without dates or signature is refused before it is cached."""
    status, headers, body = pccs.answers[TCB_PATH]
    pccs.answers[TCB_PATH] = (status, headers, change(body.decode()).encode())
    assert "tcbInfo" in refused(tmp_path, pccs)


def test_oversized(tmp_path: Path, pccs: WebServer) -> None:
    """An answer without an end is not read to it."""

    def flood(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        try:
            while True:
                request.wfile.write(b"x" * 65536)
        except OSError:
            return

    pccs.behave = flood
    assert "longer than 262144 bytes" in refused(tmp_path, pccs)


@pytest.mark.parametrize("part", ["nothing", "head", "body"])
def test_slow(tmp_path: Path, pccs: WebServer, part: str) -> None:
    """A server that drips is given up after the time for the whole answer."""

    def drip(request: BaseHTTPRequestHandler) -> None:
        pieces = {
            "nothing": b"",
            "head": b"HTTP/1.1 200 OK\r\n",
            "body": b"HTTP/1.1 200 OK\r\n\r\n",
        }
        try:
            request.wfile.write(pieces[part])
            while not pccs.released.wait(0.02):
                if part != "nothing":
                    request.wfile.write(b"X-a: b\r\n" if part == "head" else b"x")
        except OSError:
            return

    pccs.behave = drip
    assert "longer than 0.3 s" in refused(tmp_path, pccs, timeout_s=0.3)


def test_hang_up(tmp_path: Path, pccs: WebServer) -> None:
    """A server that hangs up or speaks no HTTP is an error that names the address."""
    pccs.behave = lambda _: None
    assert pccs.url in refused(tmp_path / "1", pccs)

    def speak(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"SSH-2.0-OpenSSH\r\n")

    pccs.behave = speak
    assert pccs.url in refused(tmp_path / "2", pccs)


def test_old_answers(tmp_path: Path, pccs: WebServer) -> None:
    """What has expired on the server itself is no collateral."""
    clock = Clock(AT_S + 400 * 86_400)
    assert "has expired" in refused(tmp_path, pccs, clock=clock)
