"""The host's runs for an enclave's collateral, over a real web server."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.errors import WorkerGoneError
from sealflow.host.collateral.service import CollateralService
from sealflow.host.collateral.source import CollateralConfig, CollateralSource
from sealflow.trusted.identity.identity import collateral_request
from tests.support.attestation.dcap_authority import DcapAuthority
from tests.support.attestation.dcap_certificates import DAY_S, NOW_S
from tests.support.attestation.pccs_answers import pccs_answers
from tests.support.attestation.quote_bodies import sgx_body
from tests.support.network.web_server import WebServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LAB = DcapAuthority(tcb_age_s=20 * DAY_S, qe_age_s=20 * DAY_S, crl_age_s=20 * DAY_S)
WANT = b'{"ca":"platform","fmspc":"5e0000000000","tee":"sgx"}'


@pytest.fixture
def pccs() -> Iterator[WebServer]:
    """A PCCS whose collateral has more than half of its time behind it."""
    with WebServer(pccs_answers(LAB.collateral(), "sgx", "5e0000000000", "platform")) as server:
        yield server


def source(tmp_path: Path, pccs: WebServer) -> CollateralSource:
    """A source at the laboratory's time."""
    config = CollateralConfig(cache_dir=str(tmp_path), pccs_url=pccs.url)
    return CollateralSource(config, lambda: float(NOW_S))


def test_want() -> None:
    """The laboratory's platform is one that Intel's platform authority would have certified."""
    assert b"5e0000000000" in collateral_request(LAB.quote(sgx_body()))


def test_renewal(tmp_path: Path, pccs: WebServer) -> None:
    """The question is answered, and newer collateral is brought once, when there is any."""
    sent: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    service = CollateralService(source(tmp_path, pccs), sent.put, check_s=0.0)
    service.refresh_if_due()
    service.answer_request(WANT)
    first = sent.get(timeout=10)
    assert first
    newer = LAB.replace(tcb_age_s=DAY_S, qe_age_s=DAY_S, crl_age_s=DAY_S)
    pccs.answers.update(pccs_answers(newer.collateral(), "sgx", "5e0000000000", "platform"))
    service.refresh_if_due()
    second = sent.get(timeout=10)
    assert second not in (b"", first)
    service.answer_request(WANT)
    # The answer to a question is sent although nothing is new; so nothing came before it.
    assert sent.get(timeout=10) == second
    assert sent.empty()


@pytest.mark.parametrize("want", [WANT, b"{}"])
def test_nothing_there(tmp_path: Path, pccs: WebServer, want: bytes) -> None:
    """Where there is no collateral the answer is empty, so that the enclave says why it ends."""
    pccs.answers.clear()
    sent: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    CollateralService(source(tmp_path, pccs), sent.put).answer_request(want)
    assert sent.get(timeout=10) == b""
    CollateralService(None, sent.put).answer_request(want)
    assert sent.get(timeout=10) == b""


def test_gone(tmp_path: Path, pccs: WebServer) -> None:
    """An enclave that ended meanwhile gets no answer and needs none."""
    tried: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def send(content: bytes) -> Any:
        tried.put(content)
        raise WorkerGoneError("gone")

    CollateralService(source(tmp_path, pccs), send).answer_request(WANT)
    assert tried.get(timeout=10)
