"""Quotes from the kernel's files, played by folders of pipes: right ones, or a refusal."""

from __future__ import annotations

import ast
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import sealflow
from sealflow.attest.evidence import MAX_QUOTE_BYTES, Role, Tee
from sealflow.attest.intel.verify import verify_intel_quote
from sealflow.attest.simulated.authority import create_platform
from sealflow.errors import UnavailableError
from sealflow.trusted.identity.hardware_quotes import (
    DEVICE,
    FOLDER,
    GramineQuoter,
    TsmQuoter,
    unverified_report_data,
)
from sealflow.trusted.identity.simulated_quotes import SimulatedQuoter
from sealflow.trusted.port import FatalError
from sealflow.wire.frame_payloads import Fatal
from tests.support.attestation.dcap_authority import DcapAuthority
from tests.support.attestation.dcap_certificates import NOW_S
from tests.support.attestation.quote_bodies import sgx_body, tdx_body
from tests.support.attestation.snp_authority import snp_authority
from tests.support.enclaves.attestation_devices import GramineFolder, TsmFolder

if TYPE_CHECKING:
    from collections.abc import Callable

SGX = DcapAuthority()
TDX = DcapAuthority(tee="TDX")


def sgx_quote(report_data: bytes) -> bytes:
    """What a quoting enclave answers."""
    return SGX.quote(sgx_body(report_data))


def tdx_quote(report_data: bytes) -> bytes:
    """What a hypervisor's service answers, padded as some do."""
    return TDX.quote(tdx_body(report_data)).ljust(8000, b"\0")


def tsm(tmp_path: Path, kernel: TsmFolder, tee: Tee = Tee.TDX) -> TsmQuoter:
    """A quoter in a folder that plays the kernel's."""
    return TsmQuoter(tee, tmp_path, kernel.make, kernel.remove)


def test_paths() -> None:
    """Outside of tests the folders are those of Gramine and of Linux."""
    assert str(DEVICE) == "/dev/attestation"
    assert str(FOLDER) == "/sys/kernel/config/tsm/report"


def test_gramine(tmp_path: Path) -> None:
    """A quote from Gramine is whole although it comes in pieces, and verifies."""
    data = secrets.token_bytes(64)
    with GramineFolder(tmp_path, sgx_quote):
        quote = GramineQuoter(tmp_path).quote(data)
    genuine = verify_intel_quote(quote, SGX.collateral(), SGX.root_der, NOW_S)
    assert genuine.report.report_data == data


def test_gramine_threads(tmp_path: Path) -> None:
    """Threads that ask at once each get the quote for their own data."""
    asked = [secrets.token_bytes(64) for _ in range(12)]
    with GramineFolder(tmp_path, sgx_quote), ThreadPoolExecutor(6) as pool:
        quotes = list(pool.map(GramineQuoter(tmp_path).quote, asked))
    assert [unverified_report_data(quote) for quote in quotes] == asked


def test_no_gramine(tmp_path: Path) -> None:
    """Without Gramine's files, and in Gramine without SGX, there is no enclave."""
    (tmp_path / "keys").mkdir()
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(FatalError) as caught:
            GramineQuoter(folder)
        assert caught.value.code is Fatal.TEE


@pytest.mark.parametrize("kind", [b"none", b"epid", b"", b"dcapx"])
def test_not_dcap(tmp_path: Path, kind: bytes) -> None:
    """A manifest that does not ask for DCAP attestation is named as the reason."""
    (tmp_path / "attestation_type").write_bytes(kind)
    with pytest.raises(FatalError) as caught:
        GramineQuoter(tmp_path)
    assert caught.value.code is Fatal.NOT_DCAP


def test_endless_type(tmp_path: Path) -> None:
    """A file without an end is not read on."""
    (tmp_path / "attestation_type").symlink_to("/dev/zero")
    with pytest.raises(FatalError) as caught:
        GramineQuoter(tmp_path)
    assert caught.value.code is Fatal.TEE


def test_no_aesm(tmp_path: Path) -> None:
    """Without AESM, which fails the reading of the quote, there is no quote, nor a dummy."""
    (tmp_path / "attestation_type").write_bytes(b"dcap")
    (tmp_path / "user_report_data").write_bytes(b"")
    # Reading the first page of one's own memory gives the error that a failed quote gives: EIO.
    (tmp_path / "quote").symlink_to("/proc/self/mem")
    with pytest.raises(UnavailableError, match="no quote"):
        GramineQuoter(tmp_path).quote(bytes(64))
    (tmp_path / "quote").unlink()
    with pytest.raises(UnavailableError, match="no quote"):
        GramineQuoter(tmp_path).quote(bytes(64))


def test_full_device(tmp_path: Path) -> None:
    """A file that does not take the report data gives no quote."""
    (tmp_path / "attestation_type").write_bytes(b"dcap")
    (tmp_path / "user_report_data").symlink_to("/dev/full")
    with pytest.raises(UnavailableError, match="no quote"):
        GramineQuoter(tmp_path).quote(bytes(64))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda _: b"", "not a quote"),
        (lambda data: sgx_quote(data)[:500], "not a quote"),
        (lambda _: sgx_quote(bytes(64)), "other report data"),
        (lambda _: bytes(MAX_QUOTE_BYTES + 1), "is over"),
        (lambda _: b"dummy".ljust(5000, b"\xff"), "not a quote"),
    ],
    ids=["empty", "cut", "of somebody else", "too long", "dummy"],
)
def test_wrong_answers(tmp_path: Path, answer: Callable[[bytes], bytes], why: str) -> None:
    """Whatever is not the quote for this data is refused, from either source."""
    (tmp_path / "gramine").mkdir()
    with GramineFolder(tmp_path / "gramine", answer):
        quoter = GramineQuoter(tmp_path / "gramine")
        with pytest.raises(UnavailableError, match=why):
            quoter.quote(b"\1" * 64)
    (tmp_path / "tsm").mkdir()
    with pytest.raises(UnavailableError, match=why):
        tsm(tmp_path / "tsm", TsmFolder(answer)).quote(b"\1" * 64)
    assert list((tmp_path / "tsm").iterdir()) == []


def test_tdx(tmp_path: Path) -> None:
    """A trust domain's quote verifies, and its folder is gone afterwards."""
    data = secrets.token_bytes(64)
    quote = tsm(tmp_path, TsmFolder(tdx_quote)).quote(data)
    genuine = verify_intel_quote(quote, TDX.collateral(), TDX.root_der, NOW_S)
    assert genuine.report.report_data == data
    assert list(tmp_path.iterdir()) == []


def test_snp(tmp_path: Path) -> None:
    """An SNP guest's report comes by the same folder."""
    amd = snp_authority(NOW_S)
    data = secrets.token_bytes(64)
    report = tsm(tmp_path, TsmFolder(amd.report, b"sev_guest\n"), Tee.SNP).quote(data)
    assert unverified_report_data(report) == data


def test_tsm_threads(tmp_path: Path) -> None:
    """Threads that ask at once each get the quote for their own data."""
    asked = [secrets.token_bytes(64) for _ in range(12)]
    quoter = tsm(tmp_path, TsmFolder(tdx_quote))
    with ThreadPoolExecutor(6) as pool:
        quotes = list(pool.map(quoter.quote, asked))
    assert [unverified_report_data(quote) for quote in quotes] == asked


def test_one_intruder(tmp_path: Path) -> None:
    """An answer that somebody else's writing may have changed is thrown away, and asked anew."""
    kernel = TsmFolder(tdx_quote, intrude=lambda attempt: int(attempt == 1))
    assert unverified_report_data(tsm(tmp_path, kernel).quote(b"\1" * 64)) == b"\1" * 64
    assert kernel.made == 2


def test_constant_intruder(tmp_path: Path) -> None:
    """Where somebody else always writes in between, there is no quote."""
    kernel = TsmFolder(tdx_quote, intrude=lambda _: 1)
    with pytest.raises(UnavailableError, match="another process writes"):
        tsm(tmp_path, kernel).quote(bytes(64))
    assert kernel.made == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("tee", "provider"), [(Tee.TDX, b"sev_guest\n"), (Tee.SNP, b"tdx_guest\n"), (Tee.TDX, b"")]
)
def test_other_machines(tmp_path: Path, tee: Tee, provider: bytes) -> None:
    """A virtual machine of another kind is not taken for the one asked for."""
    quoter = tsm(tmp_path, TsmFolder(tdx_quote, provider), tee)
    with pytest.raises(FatalError) as caught:
        quoter.quote(bytes(64))
    assert caught.value.code is Fatal.TEE
    assert list(tmp_path.iterdir()) == []


def test_no_tsm(tmp_path: Path) -> None:
    """Without the kernel's folder there is no confidential virtual machine."""
    with pytest.raises(FatalError) as caught:
        TsmQuoter(Tee.TDX, tmp_path / "none")
    assert caught.value.code is Fatal.TEE


def test_empty_tsm(tmp_path: Path) -> None:
    """A folder in which the kernel makes no files, as any other is, gives no quote."""
    with pytest.raises(UnavailableError, match="the kernel returns no quote"):
        TsmQuoter(Tee.TDX, tmp_path).quote(bytes(64))
    assert list(tmp_path.iterdir()) == []


def test_count_that_is_none(tmp_path: Path) -> None:
    """A count of writes that is no number gives no quote."""
    kernel = TsmFolder(tdx_quote)

    def make(entry: Path) -> None:
        kernel.make(entry)
        (entry / "generation").write_text("many")

    with pytest.raises(UnavailableError, match="not a number"):
        TsmQuoter(Tee.TDX, tmp_path, make, kernel.remove).quote(bytes(64))


def test_simulated() -> None:
    """A simulated platform's quote verifies under its root, with the measurement of this code."""
    platform = create_platform(1000 * NOW_S)
    quoter = SimulatedQuoter(Role.WORKER, platform.to_bytes())
    genuine = verify_intel_quote(
        quoter.quote(b"\1" * 64), quoter.collateral, platform.root_der, NOW_S
    )
    assert genuine.report.measurement == quoter.measurement.hex()
    with pytest.raises(FatalError) as caught:
        SimulatedQuoter(Role.WORKER, b"{}")
    assert caught.value.code is Fatal.TEE


def test_seams_are_for_tests() -> None:
    """No code of ours gives a quoter another folder, or an enclave another hardware."""
    calls = {
        ast.unparse(node)
        for path in Path(sealflow.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("GramineQuoter", "TsmQuoter", "create_identity")
    }
    assert calls == {
        "GramineQuoter()",
        "TsmQuoter(deployment.tee)",
        "create_identity(role, parsed, platform, Ed25519PrivateKey.generate(), fetch)",
    }
