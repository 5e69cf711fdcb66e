"""What no route takes: other paths, and other methods of known paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.cluster.gateway import GatewayProcess


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/envelopes", "POST"),
        ("HEAD", "/v1/control", "POST"),
        ("POST", "/v1/directory", "GET, HEAD"),
        ("DELETE", "/v1/packages/x", "PUT"),
        ("PUT", f"/v1/envelopes/{'ab' * 16}", "GET, HEAD"),
    ],
)
def test_other_methods(gateway: GatewayProcess, method: str, path: str, allowed: str) -> None:
    """A method that a path does not take is told which it takes."""
    answer = gateway.http.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/envelopes/a/b", "//v1/directory", "/V1/directory"]
)
def test_other_paths(gateway: GatewayProcess, path: str) -> None:
    """A path where nothing is says where to look."""
    answer = gateway.http.get(path)
    assert answer.status_code == 404
    assert "docs/reference/gateway.md" in answer.json()["error"]
