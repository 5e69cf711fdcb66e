"""The dates of revocation lists, read without a library."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from cryptography import x509

from sealflow.errors import MalformedError
from sealflow.host.collateral.der import unverified_crl, unverified_span
from tests.support.attestation.collateral_sources import AT_S, RECORDED
from tests.support.attestation.snp_authority import snp_authority


def test_spans() -> None:
    """The dates of a list are those that a full parser reads, whatever its form of time."""
    amd = snp_authority(int(datetime(2049, 12, 30, tzinfo=UTC).timestamp()))
    for der in (amd.crl(days=1), amd.crl(days=40), bytes.fromhex(json.loads(RECORDED)["pck_crl"])):
        crl = x509.load_der_x509_crl(der)
        assert crl.next_update_utc is not None
        span = (crl.last_update_utc.timestamp(), crl.next_update_utc.timestamp())
        assert unverified_span(der) == span


@pytest.mark.parametrize("length", range(0, 200, 7))
def test_cut_lists(length: int) -> None:
    """A list that ends too early has no dates."""
    der = bytes.fromhex(json.loads(RECORDED)["pck_crl"])[:length]
    with pytest.raises(MalformedError):
        unverified_span(der)


def test_lists_without_end() -> None:
    """A list that does not say when it ends has no dates; base64 and hex must be whole."""
    for text in (b"-----BEGIN X509 CRL-----\nA\n-----END X509 CRL-----", b"abc", b"zz"):
        with pytest.raises(MalformedError):
            unverified_crl(text)
    without = x509.load_der_x509_crl(snp_authority(AT_S).crl()).tbs_certlist_bytes
    with pytest.raises(MalformedError):
        unverified_span(without)


def test_first_lists() -> None:
    """A list of version 1, which says no version, has dates too."""

    def value(tag: int, *content: bytes) -> bytes:
        whole = b"".join(content)
        return bytes([tag, len(whole)]) + whole

    times = (value(0x17, b"260101000000Z"), value(0x17, b"260201000000Z"))
    inner = value(0x30, value(0x30, b""), value(0x30, b""), *times)
    first, last = unverified_span(value(0x30, inner))
    assert last - first == 31 * 86_400
    with pytest.raises(MalformedError):
        unverified_span(value(0x30, value(0x30, value(0x30, b""), value(0x30, b""), b"\x0c\0")))
