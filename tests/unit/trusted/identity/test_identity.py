"""How an enclave comes to its identity: on played hardware, in a simulation, or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealflow.attest.claims import TrustRoot, verify_evidence
from sealflow.attest.deployment import Deployment
from sealflow.attest.evidence import Role, Tee
from sealflow.attest.requirements import Requirements
from sealflow.attest.vm_requirements import SnpRequirements, TdxRequirements
from sealflow.errors import EvidenceError, MalformedError, UnavailableError
from sealflow.trusted.identity.hardware_quotes import GramineQuoter, TsmQuoter
from sealflow.trusted.identity.identity import EnclaveIdentity, create_identity
from sealflow.trusted.port import FatalError, FramePort
from sealflow.trusted.process import load_identity
from sealflow.wire.frame_payloads import Fatal
from sealflow.wire.frames import FrameKind, encode_frame
from tests.support.attestation.dcap_authority import DcapAuthority
from tests.support.attestation.dcap_certificates import NOW_S
from tests.support.attestation.deployments import simulated_deployment
from tests.support.attestation.quote_bodies import sgx_body, tdx_body
from tests.support.enclaves.attestation_devices import GramineFolder, TsmFolder
from tests.support.enclaves.enclave_process import EnclaveProcess, keybroker_boot, worker_boot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sealflow.trusted.identity.hardware_quotes import QuoteSource

OWNER = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()


def deployment(tee: Tee) -> Deployment:
    """Settings for hardware."""
    digits = 64 if tee is Tee.SGX else 96
    free = frozenset({"rtmr0", "rtmr1", "rtmr2"})
    demands = Requirements(
        measurements=frozenset({"11" * (digits // 2)}),
        tdx=TdxRequirements(registers={}, insecure_unchecked_registers=free)
        if tee is Tee.TDX
        else None,
        snp=SnpRequirements(insecure_any_tcb=True) if tee is Tee.SNP else None,
    )
    return Deployment(
        name="test", tee=tee, owners=frozenset({OWNER}), keybroker=demands, worker=demands
    )


def establish_on(
    tee: Tee, quoter: Callable[[], QuoteSource], fetch: Callable[[bytes], bytes]
) -> EnclaveIdentity:
    """An identity on hardware that a folder plays."""
    return create_identity(
        Role.WORKER,
        deployment(tee),
        None,
        Ed25519PrivateKey.generate(),
        fetch,
        lambda _: (quoter(), bytes(32)),
    )


@pytest.mark.parametrize("tee", [Tee.SGX, Tee.TDX])
def test_hardware(tmp_path: Path, tee: Tee) -> None:
    """On hardware the host is asked once for what verifies the quotes, and it travels with them."""
    lab = DcapAuthority(tee=tee.value.upper())
    asked: list[dict[str, Any]] = []

    def fetch(want: bytes) -> bytes:
        asked.append(json.loads(want))
        return lab.collateral()

    def check(identity: EnclaveIdentity) -> None:
        assert not identity.simulated
        evidence = identity.evidence("ab" * 32)
        assert evidence.tee is tee
        # The laboratory's root is not Intel's, which is all that is wrong with this evidence.
        with pytest.raises(EvidenceError, match="quote"):
            verify_evidence(evidence, TrustRoot(), 1000 * NOW_S)
        assert evidence.collateral == asked_content
        assert identity.collateral.replace(b"newer")
        assert identity.evidence().collateral == b"newer"
        assert not identity.collateral.replace(b"")
        assert not identity.collateral.replace(bytes(600_000))
        assert identity.evidence().collateral == b"newer"
        assert identity.published_evidence().bound == identity.evidence().bound

    asked_content = lab.collateral()
    if tee is Tee.SGX:
        with GramineFolder(tmp_path, lambda data: lab.quote(sgx_body(data))):
            check(
                establish_on(
                    tee, lambda: GramineQuoter(tmp_path), lambda w: fetch(w) and asked_content
                )
            )
    else:
        kernel = TsmFolder(lambda data: lab.quote(tdx_body(data)))
        check(
            establish_on(
                tee,
                lambda: TsmQuoter(tee, tmp_path, kernel.make, kernel.remove),
                lambda w: fetch(w) and asked_content,
            )
        )
    (want,) = asked
    assert (want["tee"], want["fmspc"]) == (tee.value, "5e0000000000")


def test_no_collateral(tmp_path: Path) -> None:
    """A host without collateral ends the enclave with that reason."""
    lab = DcapAuthority()
    with (
        GramineFolder(tmp_path, lambda data: lab.quote(sgx_body(data))),
        pytest.raises(FatalError) as caught,
    ):
        establish_on(Tee.SGX, lambda: GramineQuoter(tmp_path), lambda _: b"")
    assert caught.value.code is Fatal.COLLATERAL


@pytest.mark.parametrize("answer", [b"", b"dummy quote"])
def test_no_quote(tmp_path: Path, answer: bytes) -> None:
    """Hardware that gives no quote, or a dummy, ends the enclave; nothing is made up."""
    with GramineFolder(tmp_path, lambda _: answer), pytest.raises(FatalError) as caught:
        establish_on(Tee.SGX, lambda: GramineQuoter(tmp_path), lambda _: b"{}")
    assert caught.value.code is Fatal.QUOTE


def test_quote_lost_later(tmp_path: Path) -> None:
    """Hardware that stops giving quotes is an error for a while, or the end where one is needed."""
    lab = DcapAuthority()
    alive = [True]

    def answer(data: bytes) -> bytes:
        return lab.quote(sgx_body(data)) if alive else b""

    with GramineFolder(tmp_path, answer):
        identity = establish_on(Tee.SGX, lambda: GramineQuoter(tmp_path), lambda _: b"{}")
        alive.clear()
        with pytest.raises(UnavailableError):
            identity.evidence()
        with pytest.raises(FatalError) as caught:
            identity.published_evidence()
    assert caught.value.code is Fatal.QUOTE


@pytest.mark.parametrize("tee", [Tee.SGX, Tee.TDX, Tee.SNP])
@pytest.mark.parametrize("module", ["worker", "keybroker"])
def test_wrong_machine(tee: Tee, module: str) -> None:
    """A process that is told to be on hardware that is not here ends and says `tee`."""
    boot = worker_boot if module == "worker" else keybroker_boot
    with EnclaveProcess(module, boot(deployment(tee).to_bytes(), None, 1000 * NOW_S)) as process:
        assert process.expect(FrameKind.FATAL) == b"tee"


@pytest.mark.parametrize("module", ["worker", "keybroker"])
def test_wrong_world(module: str) -> None:
    """A simulated platform does not stand in for hardware, nor the other way round."""
    made = simulated_deployment(1000 * NOW_S)
    boot = worker_boot if module == "worker" else keybroker_boot
    hardware, platform = deployment(Tee.TDX).to_bytes(), made.platform.to_bytes()
    for settings, given in ((hardware, platform), (made.deployment.to_bytes(), None)):
        with EnclaveProcess(module, boot(settings, given, 1000 * NOW_S)) as process:
            assert process.expect(FrameKind.FATAL) == b"tee"


def test_images_without_simulation() -> None:
    """Where the files of the simulation are absent, as in images for hardware, it is refused."""
    made = simulated_deployment(1000 * NOW_S)
    program = f"""
import sys
sys.modules["sealflow.attest.simulated"] = None
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sealflow.attest.deployment import Deployment
from sealflow.attest.evidence import Role
from sealflow.trusted.port import FatalError
from sealflow.trusted.identity.identity import create_identity
deployment = Deployment.from_bytes({made.deployment.to_bytes()!r})
try:
    key = Ed25519PrivateKey.generate()
    create_identity(Role.WORKER, deployment, b"{{}}", key, lambda want: b"")
except FatalError as error:
    print(error.code.value)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "tee\n"


@contextmanager
def port_at(tmp_path: Path, *frames: tuple[FrameKind, bytes]) -> Iterator[tuple[FramePort, Path]]:
    """A port that these frames wait at, and the file that it sends into."""
    path, sent = tmp_path / "frames", tmp_path / "sent"
    path.write_bytes(b"".join(encode_frame(*frame) for frame in frames))
    sent.write_bytes(b"")
    writer = os.open(sent, os.O_WRONLY)
    port = FramePort(os.open(path, os.O_RDONLY), writer)
    try:
        yield port, sent
    finally:
        port._reader.close()
        os.close(writer)


def test_waiting_frames(tmp_path: Path) -> None:
    """Frames that come before the answer are received after it, in their order."""
    ticks = [(FrameKind.TICK, bytes([number] * 8)) for number in range(3)]
    frames = (*ticks[:2], (FrameKind.COLLATERAL, b"c"), ticks[2])
    with port_at(tmp_path, *frames) as (port, _):
        assert port.await_kind(FrameKind.COLLATERAL) == b"c"
        received = [port.receive() for _ in range(4)]
    assert received == [*ticks, None]


@pytest.mark.parametrize(
    "frames", [[], [(FrameKind.TICK, bytes(8))], [(FrameKind.BATCH, bytes(40_000))] * 420]
)
def test_no_answer(frames: list[tuple[FrameKind, bytes]], tmp_path: Path) -> None:
    """A host that ends or sends other things without end is out of step."""
    with (
        port_at(tmp_path, *frames) as (port, _),
        pytest.raises(MalformedError, match="did not send COLLATERAL"),
    ):
        port.await_kind(FrameKind.COLLATERAL)


def test_simulations_ask_nothing(tmp_path: Path) -> None:
    """A simulated platform brings its collateral, so that the host is not asked."""
    made = simulated_deployment(1000 * NOW_S)
    with port_at(tmp_path) as (port, sent):
        settings, platform = made.deployment.to_bytes(), made.platform.to_bytes()
        identity = load_identity(Role.WORKER, settings, platform, port)
    assert identity.evidence().collateral == made.platform.collateral
    assert sent.read_bytes() == b""
