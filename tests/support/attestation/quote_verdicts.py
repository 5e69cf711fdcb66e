"""What the real verifier says of quotes of the test authority."""

from __future__ import annotations

import pytest

from sealflow.attest.intel.verify import verify_intel_quote
from sealflow.attest.reports import IntelPlatform
from sealflow.errors import EvidenceError
from tests.support.attestation.dcap_authority import DcapAuthority
from tests.support.attestation.dcap_certificates import NOW_S
from tests.support.attestation.quote_bodies import sgx_body, tdx_body

SGX = DcapAuthority()
TDX = DcapAuthority(tee="TDX")


def verified_platform(
    lab: DcapAuthority, quote: bytes | None = None, at_s: int = NOW_S
) -> IntelPlatform:
    """Verify a quote and return its platform."""
    body = tdx_body() if lab.tee == "TDX" else sgx_body()
    genuine = verify_intel_quote(quote or lab.quote(body), lab.collateral(), lab.root_der, at_s)
    assert isinstance(genuine.platform, IntelPlatform)
    return genuine.platform


def refusal_text(lab: DcapAuthority, quote: bytes | None = None, at_s: int = NOW_S) -> str:
    """Verify what must be refused and give the error's text."""
    with pytest.raises(EvidenceError) as caught:
        verified_platform(lab, quote, at_s)
    return str(caught.value)
