"""A whole cluster at an IPv6 address, written with and without brackets."""

from __future__ import annotations

import pytest

from tests.support.cluster.local_cluster import TINY, LocalCluster


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_served(host: str) -> None:
    """It says the URL that clients need, and serves there."""
    with LocalCluster(TINY, options=("--host", host)) as running:
        assert running.url.startswith("http://[::1]:")
        with running.client() as client:
            assert client.infer("tiny", tensors={"x": [[1, 2, 3, 4]]}).outputs
