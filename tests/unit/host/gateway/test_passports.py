"""Passports that a gateway publishes: read from files and verifiers, checked by nobody here."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from sealflow.errors import ConfigError
from sealflow.host.gateway.passports import MAX_SOURCES, PassportSources, with_signed
from tests.support.cluster.gateway import GatewayProcess
from tests.support.network.web_server import WebServer
from tests.support.passports.tokens import ear, sign

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cluster.scripted_service import ScriptedService
    from tests.support.queue.server import QueueServer

TOKEN = sign(ear())


def test_files(tmp_path: Path) -> None:
    """A file is read anew each time; one that is absent, too large or no token is left out."""
    path = tmp_path / "passport.jwt"
    sources = PassportSources([str(path), str(tmp_path / "absent")], None)
    assert sources
    assert sources.read() == ()
    path.write_text(TOKEN + "\n")
    assert sources.read() == (TOKEN,)
    for text in ("", "x.y", "x.y.z\nx.y.z", '"x.y.z"', "x.y.z" * 10_000, "ä.y.z"):
        path.write_text(text)
        assert sources.read() == ()


def test_addresses() -> None:
    """A verifier's address is asked each time; what it answers is bounded."""
    with WebServer({"/v1/passport": (200, {}, TOKEN.encode())}) as verifier:
        sources = PassportSources([f"{verifier.url}/v1/passport"], None)
        assert sources.read() == (TOKEN,)
        for status, body in ((503, TOKEN.encode()), (200, b"x" * 20_000), (200, b"<html>")):
            verifier.answers["/v1/passport"] = (status, {}, body)
            assert sources.read() == ()
    assert sources.read() == ()


def test_mistakes() -> None:
    """Settings that cannot work are named."""
    with pytest.raises(ConfigError, match="at most 8"):
        PassportSources(["x"] * (MAX_SOURCES + 1), None)
    with pytest.raises(ConfigError, match="not an address"):
        PassportSources(["https://"], None)
    with pytest.raises(ConfigError, match=r"absent\.pem"):
        PassportSources(["https://verifier.example/v1/passport"], "absent.pem")
    assert not PassportSources([], None)


def test_document() -> None:
    """Passports are added to what the key broker published; without any it stays as it is."""
    document = b'{"evidence": {}, "directory": {}}'
    assert with_signed(document, ()) is document
    assert json.loads(with_signed(document, [TOKEN])) == {
        "evidence": {},
        "directory": {},
        "passports": [TOKEN],
    }
    planted = b'{"passports": ["planted"]}'
    assert json.loads(with_signed(planted, [TOKEN])) == {"passports": [TOKEN]}
    for broken in (b"", b"[]", b"{"):
        assert with_signed(broken, [TOKEN]) == broken


def test_gateway(queue: QueueServer, scripted: ScriptedService, tmp_path: Path) -> None:
    """A gateway publishes them within seconds, under an entity tag of their own."""
    path = tmp_path / "passport.jwt"
    path.write_text(TOKEN)
    with GatewayProcess(queue) as bare, GatewayProcess(queue, passports=[str(path)]) as running:
        plain = bare.http.get("/v1/directory")
        until = time.monotonic() + 30
        while "passports" not in (found := running.http.get("/v1/directory")).json():
            assert time.monotonic() < until
            time.sleep(0.05)
        assert found.json() == {**plain.json(), "passports": [TOKEN]}
        assert found.headers["etag"] != plain.headers["etag"]
        again = running.http.get("/v1/directory", headers={"if-none-match": found.headers["etag"]})
        assert again.status_code == httpx.codes.NOT_MODIFIED
