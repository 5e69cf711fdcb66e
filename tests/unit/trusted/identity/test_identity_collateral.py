"""Which collateral an enclave asks for."""

from __future__ import annotations

import json

import pytest

from sealflow.errors import MalformedError
from sealflow.trusted.identity.identity import collateral_request
from tests.support.attestation.dcap_authority import DcapAuthority
from tests.support.attestation.quote_bodies import ZERO48, sgx_body, tdx_body


@pytest.mark.parametrize(
    ("lab", "body", "tee"),
    [
        (DcapAuthority(), sgx_body(), "sgx"),
        (DcapAuthority(tee="TDX"), tdx_body(), "tdx"),
        (DcapAuthority(tee="TDX"), tdx_body(service_td=ZERO48), "tdx"),
    ],
)
def test_wanted_collateral(lab: DcapAuthority, body: bytes, tee: str) -> None:
    """An enclave asks for the collateral of its own machine and TEE."""
    found = json.loads(collateral_request(lab.quote(body)))
    assert found == {"tee": tee, "fmspc": "5e0000000000", "ca": found["ca"]}
    assert found["ca"] in ("platform", "processor")


def test_wanted_without_certificates() -> None:
    """A quote that brings no certificate does not say which collateral goes with it."""
    quote = DcapAuthority(chain=()).quote(sgx_body())
    with pytest.raises(MalformedError, match="no PCK certificate"):
        collateral_request(quote)
