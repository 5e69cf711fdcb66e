"""Whole trusted processes on played hardware: they quote, ask for collateral, publish, renew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealflow.attest.deployment import Deployment
from sealflow.attest.evidence import Role, Tee, report_data
from sealflow.attest.intel.verify import verify_intel_quote
from sealflow.attest.requirements import Requirements
from sealflow.attest.vm_requirements import TdxRequirements
from sealflow.documents.directory import SignedDirectory
from sealflow.host.collateral.service import CollateralService
from sealflow.host.collateral.source import CollateralConfig, CollateralSource
from sealflow.wire.domain import TrustDomain
from sealflow.wire.frames import FrameKind
from tests.support.attestation.dcap_authority import DcapAuthority
from tests.support.attestation.dcap_certificates import DAY_S, NOW_S
from tests.support.attestation.pccs_answers import pccs_answers
from tests.support.enclaves.enclave_process import EnclaveProcess, keybroker_boot, worker_boot
from tests.support.network.web_server import WebServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW_MS = 1000 * NOW_S
LAB = DcapAuthority(tee="TDX", tcb_age_s=20 * DAY_S, qe_age_s=20 * DAY_S, crl_age_s=20 * DAY_S)
NEWER = DcapAuthority(tee="TDX")


def settings() -> bytes:
    """A deployment on TDX."""
    demands = Requirements(
        measurements=frozenset({"33" * 48}),
        tdx=TdxRequirements(
            registers={f"rtmr{number}": frozenset({f"4{number}" * 48}) for number in range(3)}
        ),
    )
    owner = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    return Deployment(
        name="test", tee=Tee.TDX, owners=frozenset({owner}), keybroker=demands, worker=demands
    ).to_bytes()


@pytest.fixture
def pccs() -> Iterator[WebServer]:
    """A PCCS with collateral that has more than half of its time behind it."""
    answers = pccs_answers(LAB.collateral(), "tdx", "5e0000000000", "processor")
    with WebServer(answers) as server:
        yield server


def errand_for(process: EnclaveProcess, pccs: WebServer, cache: Path) -> CollateralService:
    """The host's part, over a real web server."""
    config = CollateralConfig(cache_dir=str(cache), pccs_url=pccs.url)
    source = CollateralSource(config, lambda: float(NOW_S))
    return CollateralService(
        source, lambda content: process.send(FrameKind.COLLATERAL, content), check_s=0.0
    )


def folder(tmp_path: Path, name: str) -> Path:
    """An empty folder."""
    path = tmp_path / name
    path.mkdir()
    return path


def test_key_broker(tmp_path: Path, pccs: WebServer) -> None:
    """A key broker publishes evidence that verifies offline, and newer collateral as it comes."""
    boot = keybroker_boot(settings(), None, NOW_MS)
    with EnclaveProcess("keybroker", boot, hardware=folder(tmp_path, "tsm")) as process:
        errand = errand_for(process, pccs, tmp_path)
        # What comes while the enclave waits for collateral is not lost.
        process.tick(NOW_MS)
        process.send(FrameKind.LEAD, NOW_MS.to_bytes(8))
        errand.answer_request(process.expect(FrameKind.COLLATERAL))
        published = [_directory(process)]
        answers = pccs_answers(NEWER.collateral(), "tdx", "5e0000000000", "processor")
        pccs.answers.update(answers)
        errand.refresh_if_due()
        while published[-1].evidence.collateral == published[0].evidence.collateral:
            published.append(_directory(process))
    first, last = published[0].evidence, published[-1].evidence
    assert first.quote == last.quote
    ages = []
    for evidence in (first, last):
        genuine = verify_intel_quote(evidence.quote, evidence.collateral, LAB.root_der, NOW_S)
        bound = report_data(evidence.bound, Role.KEY_BROKER, TrustDomain.HARDWARE)
        assert genuine.report.report_data == bound
        ages.append(NOW_S - genuine.platform.collateral_issued_s)
    assert ages == [20 * DAY_S, DAY_S]


def _directory(process: EnclaveProcess) -> SignedDirectory:
    while (frame := process.receive()) is not None:
        if frame[0] is FrameKind.DIRECTORY:
            return SignedDirectory.from_bytes(frame[1])
        assert frame[0] is not FrameKind.FATAL, frame
    raise AssertionError("the process ended")


def test_worker(tmp_path: Path, pccs: WebServer) -> None:
    """A worker asks the key broker for nothing before it has its own collateral."""
    boot = worker_boot(settings(), None, NOW_MS)
    with EnclaveProcess("worker", boot, hardware=folder(tmp_path, "tsm")) as process:
        errand = errand_for(process, pccs, tmp_path)
        errand.answer_request(process.expect(FrameKind.COLLATERAL))
        assert b"describe" in process.expect(FrameKind.CONTROL)
        process.send(FrameKind.COLLATERAL, NEWER.collateral())


@pytest.mark.parametrize("module", ["worker", "keybroker"])
def test_no_collateral(tmp_path: Path, pccs: WebServer, module: str) -> None:
    """Without collateral neither starts, and each says why."""
    pccs.answers.clear()
    boot = (worker_boot if module == "worker" else keybroker_boot)(settings(), None, NOW_MS)
    with EnclaveProcess(module, boot, hardware=folder(tmp_path, "tsm")) as process:
        errand_for(process, pccs, tmp_path).answer_request(process.expect(FrameKind.COLLATERAL))
        assert process.expect(FrameKind.FATAL) == b"collateral"
