"""Shipped enclaves that are told to be in SGX: how they ask Gramine for quotes and for a key.

Without SGX there is no /dev/attestation. Where files play it, a mount of theirs is the one
difference from the shipped manifest; no build would render it, and the measurement tells it apart.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealflow.attest.deployment import Deployment
from sealflow.attest.evidence import report_data
from sealflow.attest.intel.verify import verify_intel_quote
from sealflow.documents.directory import SignedDirectory
from sealflow.owner import Requirements, Role, Tee, TrustDomain
from sealflow.wire.frames import FrameKind
from tests.support.attestation.dcap_authority import DcapAuthority
from tests.support.attestation.dcap_certificates import NOW_S
from tests.support.attestation.quote_bodies import sgx_body
from tests.support.enclaves.attestation_files import AttestationFiles
from tests.support.enclaves.enclave_process import EnclaveProcess, keybroker_boot, worker_boot
from tests.support.enclaves.gramine_direct import attesting_manifest, run_in_gramine
from tests.support.enclaves.gramine_installation import ROLES, program

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from tests.support.enclaves.gramine_builds import SignedEnclaves

NOW_MS = 1000 * NOW_S
LAB = DcapAuthority()


def settings(role: str) -> dict[str, Any]:
    """The first frame of a deployment on SGX."""
    demands = Requirements(measurements=frozenset({"11" * 32}))
    owner = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    deployment = Deployment(
        name="test", tee=Tee.SGX, owners=frozenset({owner}), keybroker=demands, worker=demands
    ).to_bytes()
    boot = worker_boot if role == "worker" else keybroker_boot
    return boot(deployment, None, NOW_MS)


def played(site: SignedEnclaves, device: Path, role: str) -> EnclaveProcess:
    """Start a shipped enclave whose /dev/attestation is a folder."""
    application = attesting_manifest(site.shipped / f"{role}.manifest", device)
    command = (str(program("gramine-direct")), str(application))
    return EnclaveProcess(role, settings(role), command=command)


def quote(asked: bytes) -> bytes:
    """What the laboratory's processor says."""
    return LAB.quote(sgx_body(asked))


@pytest.mark.parametrize("role", ROLES)
def test_no_sgx(site: SignedEnclaves, role: str) -> None:
    """Without an enclave around it, it says `tee`."""
    ended = run_in_gramine(site.shipped / role, settings(role))
    assert (ended.code, ended.frames) == (1, [(FrameKind.FATAL, b"tee")])


@pytest.mark.parametrize("role", ROLES)
def test_no_dcap(site: SignedEnclaves, tmp_path: Path, role: str) -> None:
    """An enclave that Gramine may not attest says `not_dcap`."""
    with (
        AttestationFiles(tmp_path, quote, kind=b"none"),
        played(site, tmp_path, role) as process,
    ):
        assert process.expect(FrameKind.FATAL) == b"not_dcap"


def test_key_broker(site: SignedEnclaves, tmp_path: Path) -> None:
    """It finds out which collateral it needs, and publishes evidence that verifies."""
    with (
        AttestationFiles(tmp_path, quote) as files,
        played(site, tmp_path, "keybroker") as process,
    ):
        want = json.loads(process.expect(FrameKind.COLLATERAL))
        assert (want["tee"], want["fmspc"]) == ("sgx", LAB.fmspc)
        files.await_ready()
        process.send(FrameKind.COLLATERAL, LAB.collateral())
        assert json.loads(process.expect(FrameKind.READY))["simulated"] is False
        process.send(FrameKind.LEAD, NOW_MS.to_bytes(8))
        process.expect(FrameKind.STATE)
        evidence = SignedDirectory.from_bytes(process.expect(FrameKind.DIRECTORY)).evidence
    genuine = verify_intel_quote(evidence.quote, evidence.collateral, LAB.root_der, NOW_S)
    bound = report_data(evidence.bound, Role.KEY_BROKER, TrustDomain.HARDWARE)
    assert genuine.report.report_data == bound


def test_worker(site: SignedEnclaves, tmp_path: Path) -> None:
    """It finds out which collateral it needs, then looks for the key broker."""
    with (
        AttestationFiles(tmp_path, quote),
        played(site, tmp_path, "worker") as process,
    ):
        want = json.loads(process.expect(FrameKind.COLLATERAL))
        assert (want["tee"], want["fmspc"]) == ("sgx", LAB.fmspc)
        process.send(FrameKind.COLLATERAL, LAB.collateral())
        assert b"describe" in process.expect(FrameKind.CONTROL)
