"""A real web server in a PCCS's place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.attestation.collateral_sources import RECORDED
from tests.support.attestation.pccs_answers import pccs_answers
from tests.support.network.web_server import WebServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pccs() -> Iterator[WebServer]:
    """A PCCS with the recorded collateral of one platform."""
    with WebServer(pccs_answers(RECORDED, "tdx", "b0c06f000000", "platform")) as server:
        yield server
