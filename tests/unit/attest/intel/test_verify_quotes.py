"""Intel quotes of every kind of fault: roots, chains, lengths, forms, states."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from sealflow.attest.intel.verify import verify_intel_quote
from sealflow.errors import EvidenceError
from tests.support.attestation.dcap_certificates import NOW_S
from tests.support.attestation.quote_bodies import SEPT_VE_DISABLE, ZERO48, sgx_body, tdx_body
from tests.support.attestation.quote_verdicts import SGX, TDX, refusal_text, verified_platform

if TYPE_CHECKING:
    from tests.support.attestation.dcap_authority import DcapAuthority


def test_roots() -> None:
    """A chain that ends in another root is refused, also one that claims to be Intel's."""
    assert refusal_text(SGX, SGX.replace(root="another").quote(sgx_body()))
    with pytest.raises(EvidenceError):
        verify_intel_quote(SGX.quote(sgx_body()), SGX.collateral(), None, NOW_S)


def test_debug() -> None:
    """A debug enclave, trust domain or quoting enclave is refused by the verifier itself."""
    assert "Debug" in refusal_text(SGX, SGX.quote(sgx_body(attributes=0x07)))
    assert "Debug" in refusal_text(TDX, TDX.quote(tdx_body(attributes=SEPT_VE_DISABLE | 1)))
    assert refusal_text(SGX.replace(qe_attributes=0x13))


@pytest.mark.parametrize("certification", [1, 2, 3, 4, 6, 7])
def test_certification(certification: int) -> None:
    """Only quotes that bring their certificates are accepted."""
    assert refusal_text(SGX.replace(certification=certification))


@pytest.mark.parametrize(
    "chain", [("middle", "pck", "root"), ("pck",), ("pck", "root"), ("tcb", "middle", "root")]
)
def test_chains(chain: tuple[str, ...]) -> None:
    """Certificates in another order, missing or of another purpose are refused."""
    assert refusal_text(SGX.replace(chain=chain))


def test_unverified_root_copy() -> None:
    """The copy of the root within a quote must be the trusted root, byte by byte."""
    first = verify_intel_quote(SGX.quote(sgx_body()), SGX.collateral(), SGX.root_der, NOW_S)
    for chain in (("pck", "middle", "stranger"), ("pck", "middle"), ("pck", "middle", "root") * 2):
        strange = SGX.replace(chain=chain)
        assert "PCK chain" in refusal_text(strange, strange.quote(sgx_body()))
    other = verify_intel_quote(SGX.quote(sgx_body(svn=2)), SGX.collateral(), SGX.root_der, NOW_S)
    assert other.report_digest != first.report_digest


@pytest.mark.parametrize("lab", [SGX, TDX], ids=["SGX", "TDX"])
def test_trailing(lab: DcapAuthority) -> None:
    """Zeros may follow a quote, for clouds pad them; anything else may not."""
    quote = lab.quote(tdx_body() if lab is TDX else sgx_body())
    assert verified_platform(lab, quote + bytes(900)) == verified_platform(lab, quote)
    assert "other than zero follow it" in refusal_text(lab, quote + b"\0\1")


def test_truncated() -> None:
    """A quote that ends anywhere too early is refused."""
    for lab, body in ((SGX, sgx_body()), (TDX, tdx_body()), (TDX, tdx_body(service_td=ZERO48))):
        quote = lab.quote(body)
        for length in range(0, len(quote), 97):
            assert refusal_text(lab, quote[:length] or b"\0")


def test_versions() -> None:
    """Quotes of other versions, TEEs, algorithms and bodies are refused."""
    assert "version" in refusal_text(SGX, SGX.quote(sgx_body(), version=4))
    assert "version" in refusal_text(TDX, TDX.quote(tdx_body(), version=3))
    assert refusal_text(SGX, SGX.quote(sgx_body(), algorithm=3))
    other_tee = bytearray(SGX.quote(sgx_body()))
    other_tee[4] = 0x82
    assert "neither" in refusal_text(SGX, bytes(other_tee))
    extended = TDX.quote(tdx_body(service_td=ZERO48) + bytes(100))
    assert "neither of TDX 1.0 nor of TDX 1.5" in refusal_text(TDX, extended)


def test_lengths() -> None:
    """A length within a quote that goes over its end is refused, however large."""
    quote = bytearray(SGX.quote(sgx_body()))
    struct.pack_into("<I", quote, 48 + 384, 0xFFFFFFFF)
    assert "ends within its signature" in refusal_text(SGX, bytes(quote))


@pytest.mark.parametrize(
    "body",
    [
        tdx_body(attributes=0),
        tdx_body(attributes=SEPT_VE_DISABLE | 1 << 29),
        tdx_body(service_td=b"\1" * 48),
        tdx_body(seam_signer=b"\1" * 48),
        tdx_body(seam_attributes=1),
    ],
    ids=["no SEPT_VE_DISABLE", "migratable", "service TD", "module signer", "module attributes"],
)
def test_trust_domains(body: bytes) -> None:
    """What makes a trust domain open to its host is refused by the verifier itself."""
    assert refusal_text(TDX, TDX.quote(body))
