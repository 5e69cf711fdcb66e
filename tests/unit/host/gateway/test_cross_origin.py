"""Web pages of other origins: which answers browsers may show them, and what they may send."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealflow.errors import ConfigError, RefusalCode
from sealflow.host.gateway.config import GatewayConfig
from sealflow.host.gateway.cross_origin import CrossOrigin
from sealflow.wire.envelope import MEDIA_TYPE
from tests.support.cluster.gateway import (
    GatewayProcess,
    ScriptedEngine,
    open_answer,
    read_refusal,
    seal_call,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import ThreadPoolExecutor

    import httpx

    from tests.support.queue.server import QueueServer

APP, LOCAL = "https://app.example", "http://localhost:3000"
ALLOW = "access-control-allow-origin"
UNKNOWN_ID = "ab" * 16
SHARED = {
    ("POST", "/v1/envelopes"): 415,
    ("GET", f"/v1/envelopes/{UNKNOWN_ID}"): 404,
    ("GET", "/v1/envelopes/x"): 400,
    ("GET", "/v1/directory"): 503,
    ("HEAD", "/v1/directory"): 503,
    ("GET", "/v1/log/0"): 200,
    ("GET", "/v1/log/x"): 400,
}
"""Routes that pages may ask, each with the status of an answer in this test."""
OTHERS = [
    ("POST", "/v1/control"),
    ("PUT", f"/v1/packages/{'ab' * 32}"),
    ("GET", "/v1/packages"),
    ("GET", "/v1/status"),
    ("GET", "/v2/health/ready"),
    ("GET", "/metrics"),
    ("GET", "/nothing"),
    ("DELETE", "/v1/envelopes"),
]


@pytest.fixture(scope="module")
def listed(queue: QueueServer) -> Iterator[GatewayProcess]:
    """A gateway for the pages of two origins."""
    with GatewayProcess(queue, cors_origins=[APP, LOCAL], queue_capacity=1) as running:
        yield running


@pytest.fixture(scope="module")
def open_to_all(queue: QueueServer) -> Iterator[GatewayProcess]:
    """A gateway for all pages."""
    with GatewayProcess(queue, cors_origins=["*"]) as running:
        yield running


def _cors(answer: httpx.Response) -> dict[str, str]:
    """The headers of an answer that are about other origins."""
    names = [name for name in answer.headers if name.startswith("access-control") or name == "vary"]
    return {name: answer.headers[name] for name in names}


def _preflight(gateway: GatewayProcess, path: str, origin: str) -> httpx.Response:
    asked = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,prefer",
    }
    return gateway.http.options(path, headers=asked)


def test_off_by_default(gateway: GatewayProcess) -> None:
    """Without the setting no answer mentions other origins, and a preflight is no route."""
    for method, path in SHARED:
        answer = gateway.http.request(method, path, headers={"origin": APP})
        assert _cors(answer) == {}
    answer = _preflight(gateway, "/v1/envelopes", APP)
    assert (answer.status_code, answer.headers["allow"], _cors(answer)) == (405, "POST", {})
    bare = gateway.http.post("/v1/envelopes", content=b"x", headers={"origin": APP})
    assert bare.status_code == 415


@pytest.mark.parametrize("origin", [APP, LOCAL])
def test_listed_origins(listed: GatewayProcess, origin: str) -> None:
    """A page of a listed origin may read every answer of the client's routes, errors too."""
    for (method, path), status in SHARED.items():
        sent = {"origin": origin, "content-type": "text/plain"}
        answer = listed.http.request(method, path, headers=sent)
        assert answer.status_code == status
        assert _cors(answer) == {
            ALLOW: origin,
            "access-control-expose-headers": "etag, location, preference-applied, retry-after, "
            "sealflow-simulated",
            "vary": "origin",
        }


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.evil.example",
        "https://evil.example",
        "http://app.example",
        "https://APP.example",
        "https://app.example:443",
        "https://app.example/",
        "https://app.example, https://evil.example",
        "https://app.example\u00e9",
        "null",
        "*",
        "",
        "https://" + "a" * 10_000,
        None,
    ],
)
def test_other_origins(listed: GatewayProcess, origin: str | None) -> None:
    """Any other origin is neither allowed nor repeated, and what pages may not send is refused."""
    sent = {} if origin is None else {b"origin": origin.encode("latin-1")}
    for method, path in SHARED:
        answer = listed.http.request(method, path, headers=sent)
        assert _cors(answer) == {"vary": "origin"}
    answer = listed.http.options("/v1/envelopes", headers=sent)
    assert (answer.status_code, _cors(answer)) == (403, {"vary": "origin"})
    bare = listed.http.post("/v1/envelopes", content=seal_call().envelope, headers=sent)
    assert bare.status_code == 415


def test_routes_of_operators(listed: GatewayProcess, open_to_all: GatewayProcess) -> None:
    """Pages may not read status, packages, metrics, nor ask the key broker."""
    for gateway in (listed, open_to_all):
        for method, path in OTHERS:
            answer = gateway.http.request(method, path, headers={"origin": APP})
            assert _cors(answer) == {}
            if path != "/v1/envelopes":
                assert _preflight(gateway, path, APP).status_code in {404, 405}


@pytest.mark.parametrize(
    "path", ["/v1/envelopes", f"/v1/envelopes/{UNKNOWN_ID}", "/v1/directory", "/v1/log/0"]
)
def test_preflights(listed: GatewayProcess, open_to_all: GatewayProcess, path: str) -> None:
    """A preflight is answered with what a page may send, and for how long that counts."""
    for gateway, allowed in ((listed, APP), (open_to_all, "*")):
        answer = _preflight(gateway, path, APP)
        assert (answer.status_code, answer.content) == (204, b"")
        found = _cors(answer)
        assert found[ALLOW] == allowed
        assert found["access-control-allow-methods"] == "GET, HEAD, POST"
        assert found["access-control-allow-headers"] == "content-type, if-none-match, prefer"
        assert found["access-control-max-age"] == "7200"
        assert "access-control-allow-credentials" not in found


def test_all_origins(open_to_all: GatewayProcess) -> None:
    """With `*` the answers are the same for every page, so caches need not tell them apart."""
    for origin in (APP, "null", None):
        sent = {} if origin is None else {"origin": origin}
        answer = open_to_all.http.get("/v1/log/0", headers=sent)
        assert answer.headers[ALLOW] == "*"
        assert "vary" not in answer.headers


def test_without_a_preflight(
    listed: GatewayProcess, engine: ScriptedEngine, pool: ThreadPoolExecutor
) -> None:
    """A page may send an envelope without a content type, for which browsers ask no preflight."""
    asked = seal_call()
    sent = {"origin": LOCAL}
    answer = pool.submit(listed.http.post, "/v1/envelopes", content=asked.envelope, headers=sent)
    engine.serve()
    assert open_answer(asked, answer.result()) == b"the answer"
    assert answer.result().headers[ALLOW] == LOCAL
    assert answer.result().headers["content-type"] == MEDIA_TYPE
    named = {**sent, "content-type": "application/octet-stream"}
    assert listed.http.post("/v1/envelopes", content=b"x", headers=named).status_code == 415
    garbage = listed.http.post("/v1/envelopes", content=b"<html>", headers=sent)
    assert (garbage.status_code, read_refusal(garbage)) == (400, RefusalCode.MALFORMED)


def test_answers_of_a_busy_gateway(listed: GatewayProcess, engine: ScriptedEngine) -> None:
    """A page can read that it was queued, when to come again, and that the queue is full."""
    sent = {"origin": APP, "prefer": "respond-async"}
    queued = listed.http.post("/v1/envelopes", content=seal_call().envelope, headers=sent)
    full = listed.http.post("/v1/envelopes", content=seal_call().envelope, headers=sent)
    assert (queued.status_code, full.status_code) == (202, 429)
    for answer in (queued, full):
        assert answer.headers[ALLOW] == APP
        assert answer.headers["retry-after"] == "1"
    engine.serve()


@pytest.mark.parametrize(
    "origins",
    [
        ["app.example"],
        ["https://app.example/"],
        ["https://app.example/path"],
        ["https://App.example"],
        ["https://app.example:443"],
        ["http://app.example:80"],
        ["https://user@app.example"],
        ["https://*.example"],
        ["https://app.example\n"],
        ["null"],
        [""],
        ["*", APP],
        [APP, "*"],
    ],
)
def test_settings_that_are_no_origins(origins: list[str]) -> None:
    """What no browser would send as an origin is refused when the gateway starts."""
    with pytest.raises(ConfigError, match="cors_origins"):
        GatewayConfig(deployment="d", broker_url="unix:///b", cors_origins=tuple(origins))


def test_origins_of_all_forms() -> None:
    """Names, addresses, ports, and the schemes of extensions and apps may be listed."""
    origins = (APP, LOCAL, "http://[::1]:8080", "https://10.0.0.1", "capacitor://localhost")
    assert CrossOrigin(origins).enabled
    assert not CrossOrigin(()).enabled
