"""The parts of a quote, cut without a verifier."""

from __future__ import annotations

import struct

import pytest

from sealflow.attest.intel.quote import split_quote
from sealflow.errors import MalformedError
from sealflow.trusted.identity.hardware_quotes import unverified_report_data
from tests.support.attestation.dcap_authority import DcapAuthority
from tests.support.attestation.dcap_certificates import NOW_S
from tests.support.attestation.quote_bodies import sgx_body, tdx_body
from tests.support.attestation.snp_authority import snp_authority


def test_layout() -> None:
    """Quotes are cut into parts without a verifier; what is cut too short is refused."""
    lab = DcapAuthority()
    quote = lab.quote(sgx_body(b"\7" * 64))
    parts = split_quote(quote)
    assert (parts.version, parts.tdx, len(parts.signed)) == (3, False, 432)
    assert unverified_report_data(quote) == b"\7" * 64
    assert unverified_report_data(snp_authority(NOW_S).report(b"\5" * 64)) == b"\5" * 64
    tdx = DcapAuthority(tee="TDX").quote(tdx_body(b"\6" * 64, service_td=bytes(48)))
    assert (split_quote(tdx).version, len(split_quote(tdx).signed)) == (5, 702)
    assert unverified_report_data(tdx) == b"\6" * 64


def test_shortest_quote() -> None:
    """A quote ends with its certification data, wherever it is cut."""
    quote = DcapAuthority().quote(sgx_body())
    for length in range(432, len(quote), 41):
        (whole,) = struct.unpack_from("<I", quote, 432)
        shorter = min(whole, max(length - 436, 0))
        cut = quote[:432] + struct.pack("<I", shorter) + quote[436 : 436 + shorter]
        with pytest.raises(
            MalformedError, match=r"within its signature|not of type 5|does not end with"
        ):
            split_quote(cut)
    with pytest.raises(MalformedError, match="within its body"):
        split_quote(quote[:435])
    with pytest.raises(MalformedError, match="within its signature"):
        split_quote(quote[:-1])
