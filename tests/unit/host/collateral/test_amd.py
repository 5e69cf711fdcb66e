"""Endorsements from AMD's service, for each line of processors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sealflow.attest.amd.verify import verify_amd_report
from sealflow.errors import UnavailableError
from sealflow.trusted.identity.identity import collateral_request
from tests.support.attestation.collateral_sources import AT_S, source
from tests.support.attestation.snp_authority import CHIP, SnpAuthority, snp_authority
from tests.support.network.web_server import WebServer

if TYPE_CHECKING:
    from pathlib import Path

PATH = f"/{CHIP.hex()}?blSPL=03&teeSPL=01&snpSPL=08&ucodeSPL=200"


def amd_answers(amd: SnpAuthority, line: str, leaf_path: str, kind: str = "vcek") -> dict[str, Any]:
    """What AMD's service answers about one processor."""
    parts = amd.endorsements()
    pem = b"".join(
        x509.load_der_x509_certificate(each).public_bytes(Encoding.PEM)
        for each in (parts.intermediate, parts.root)
    )
    base = f"/{kind}/v1/{line}"
    return {
        base + leaf_path: (200, {}, parts.leaf),
        f"{base}/cert_chain": (200, {}, pem),
        f"{base}/crl": (200, {}, amd.crl()),
    }


@pytest.mark.parametrize(
    ("product", "line", "cpu", "path"),
    [
        ("Milan-B0", "Milan", (0x19, 1), PATH),
        ("Genoa-B1", "Genoa", (0x19, 0x11), PATH),
        (
            "Turin-B0",
            "Turin",
            (0x1A, 2),
            f"/{CHIP.hex()[:16]}?fmcSPL=01&blSPL=03&teeSPL=01&snpSPL=08&ucodeSPL=200",
        ),
    ],
)
def test_amd(tmp_path: Path, product: str, line: str, cpu: tuple[int, int], path: str) -> None:
    """What is fetched for a report verifies it, for all lines of processors."""
    tcb = {"bootloader": 3, "tee": 1, "snp": 8, "microcode": 200}
    chip = CHIP
    if line == "Turin":
        tcb, chip = {"fmc": 1, **tcb}, CHIP[:8]
    amd = snp_authority(AT_S, product=product, tcb=tuple(tcb.items()), chip=chip)
    report = amd.report(cpu=cpu)
    want = collateral_request(report)
    with WebServer(amd_answers(amd, line, path)) as server:
        fetched = source(tmp_path, None, kds_url=server.url).get(want)
    genuine = verify_amd_report(report, fetched, amd.root(), AT_S)
    assert genuine.report.measurement == "11" * 48


def test_amd_without_names(tmp_path: Path) -> None:
    """Reports of version 2 do not name their processor: the operator must."""
    amd = snp_authority(AT_S)
    report = amd.report(version=2)
    with WebServer(amd_answers(amd, "Milan", PATH)) as server:
        with pytest.raises(UnavailableError, match="amd_product"):
            source(tmp_path / "1", None, kds_url=server.url).get(collateral_request(report))
        named = source(tmp_path / "2", None, kds_url=server.url, amd_product="Milan")
        fetched = named.get(collateral_request(report))
    verify_amd_report(report, fetched, amd.root(), AT_S)
    unknown = json.loads(collateral_request(amd.report(cpu=(0x17, 1))))
    assert unknown["product"] == ""


def test_vlek(tmp_path: Path) -> None:
    """A cloud's certificate comes from a file, for AMD hands it to nobody else."""
    amd = snp_authority(AT_S, vlek=True)
    report = amd.report(cpu=(0x19, 1))
    file = tmp_path / "vlek.der"
    file.write_bytes(amd.endorsements().leaf)
    with WebServer(amd_answers(amd, "Milan", "/none", "vlek")) as server:
        with pytest.raises(UnavailableError, match="vlek_file"):
            source(tmp_path / "1", None, kds_url=server.url).get(collateral_request(report))
        named = source(tmp_path / "2", None, kds_url=server.url, vlek_file=str(file))
        fetched = named.get(collateral_request(report))
    verify_amd_report(report, fetched, amd.root(), AT_S)


def test_hidden_chips(tmp_path: Path) -> None:
    """A processor that hides its chip id cannot be asked about."""
    want = collateral_request(snp_authority(AT_S).report(mask_chip=True, cpu=(0x19, 1)))
    with WebServer({}) as server, pytest.raises(UnavailableError, match="hides its chip id"):
        source(tmp_path, None, kds_url=server.url).get(want)


@pytest.mark.parametrize("name", ["cert_chain", "crl"])
def test_broken_amd(tmp_path: Path, name: str) -> None:
    """A page of a proxy in place of AMD's answer is an error with a hint."""
    amd = snp_authority(AT_S)
    report = amd.report(cpu=(0x19, 1))
    answers = amd_answers(amd, "Milan", PATH)
    answers[f"/vcek/v1/Milan/{name}"] = (200, {}, b"<html></html>")
    with WebServer(answers) as server, pytest.raises(UnavailableError, match="AMD's KDS"):
        source(tmp_path, None, kds_url=server.url).get(collateral_request(report))
