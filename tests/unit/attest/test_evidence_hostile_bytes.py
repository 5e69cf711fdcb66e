"""Evidence with anything in it gives a verdict, never another error: fuzzed from a fixed seed."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sealflow.attest.amd.verify import verify_amd_report
from sealflow.attest.intel.verify import verify_intel_quote
from sealflow.errors import EvidenceError, MalformedError
from sealflow.trusted.identity.identity import collateral_request
from tests.support.attestation.dcap_authority import DcapAuthority
from tests.support.attestation.dcap_certificates import NOW_S
from tests.support.attestation.hardware_samples import (
    REPORTS,
    endorsements,
    parse_seconds,
    read_sample,
)
from tests.support.attestation.quote_bodies import sgx_body, tdx_body
from tests.support.attestation.snp_authority import snp_authority

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealflow.attest.amd.endorsements import Endorsements


def mutated(data: bytes, seed: int, count: int) -> Iterator[bytes]:
    """Bytes with a few changed, cut, doubled or set to extremes."""
    chance = random.Random(seed)  # noqa: S311 - the same faults in every run
    for _ in range(count):
        changed = bytearray(data)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(changed))
            match chance.randrange(5):
                case 0:
                    changed[at] ^= 1 << chance.randrange(8)
                case 1:
                    changed[at] = chance.choice((0, 0x7F, 0x80, 0xFF))
                case 2:
                    del changed[at : at + chance.randint(1, 8)]
                case 3:
                    changed[at:at] = changed[at : at + chance.randint(1, 8)]
                case _:
                    changed[at : at + 4] = b"\xff\xff\xff\x7f"
        if changed != data:
            yield bytes(changed)


@pytest.mark.parametrize("tee", ["SGX", "TDX"])
def test_quotes(tee: str) -> None:
    """Broken quotes are refused or mean the same, and the question to the host is strict too."""
    lab = DcapAuthority(tee=tee)
    quote = lab.quote(sgx_body() if tee == "SGX" else tdx_body(service_td=bytes(48)))
    collateral, root = lab.collateral(), lab.root_der
    good = verify_intel_quote(quote, collateral, root, NOW_S)
    for each in mutated(quote, 1, 800):
        with suppress(EvidenceError):
            assert verify_intel_quote(each, collateral, root, NOW_S) == good
        with suppress(MalformedError):
            json.loads(collateral_request(each))


def test_collateral() -> None:
    """Broken collateral is refused or means the same."""
    lab = DcapAuthority()
    quote, collateral = lab.quote(sgx_body()), lab.collateral()
    good = verify_intel_quote(quote, collateral, lab.root_der, NOW_S)
    for each in mutated(collateral, 2, 800):
        with suppress(EvidenceError):
            assert verify_intel_quote(quote, each, lab.root_der, NOW_S) == good


def test_revocation_lists() -> None:
    """A broken revocation list of Intel's is refused before and by the library."""
    lab = DcapAuthority()
    quote = lab.quote(sgx_body())
    crl = bytes.fromhex(json.loads(lab.collateral())["pck_crl"])
    for each in mutated(crl, 3, 600):
        with pytest.raises(EvidenceError):
            verify_intel_quote(
                quote,
                lab.replace(changes={"pck_crl": each.hex()}).collateral(),
                lab.root_der,
                NOW_S,
            )


def test_reports() -> None:
    """Broken SNP reports are refused."""
    amd = snp_authority(NOW_S)
    collateral, root = amd.endorsements().to_bytes(), amd.root()
    for each in mutated(amd.report(), 4, 600):
        with pytest.raises(EvidenceError):
            verify_amd_report(each, collateral, root, NOW_S)


@pytest.mark.parametrize("part", ["leaf", "intermediate", "root", "crl"])
def test_certificates(part: str) -> None:
    """Broken certificates and lists of AMD's are refused."""
    amd = snp_authority(NOW_S)
    good: Endorsements = amd.endorsements()
    for each in mutated(getattr(good, part), 5, 600):
        broken = replace(good, **{part: each}).to_bytes()
        with pytest.raises(EvidenceError):
            verify_amd_report(amd.report(), broken, amd.root(), NOW_S)


@pytest.mark.parametrize("part", ["leaf", "intermediate", "root"])
def test_real_certificates(part: str) -> None:
    """Broken certificates of real processors are refused under AMD's own root."""
    name = "snp-milan.report"
    good = endorsements(name)
    at_s = parse_seconds(REPORTS[name]["leaf_valid"][0]) + 1
    for each in mutated(getattr(good, part), 6, 300):
        with pytest.raises(EvidenceError):
            verify_amd_report(
                read_sample(name), replace(good, **{part: each}).to_bytes(), None, at_s
            )
