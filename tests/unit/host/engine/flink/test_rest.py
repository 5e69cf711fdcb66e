"""Flink's REST interface: addresses that cannot be reached."""

from __future__ import annotations

import pytest

from sealflow.errors import ConfigError, UnavailableError
from sealflow.host.engine.flink.rest import FlinkRest


def test_addresses_of_jobmanagers() -> None:
    """An address without a scheme is refused, https without a certificate too, a dead one said."""
    for url in ("localhost:8081", "ftp://localhost", "http://"):
        with pytest.raises(ConfigError):
            FlinkRest(url, None)
    with pytest.raises(ConfigError, match="certificate"):
        FlinkRest("https://localhost:8081", None)
    with pytest.raises(UnavailableError, match="does not answer"):
        FlinkRest("http://127.0.0.1:1", None).overview()
