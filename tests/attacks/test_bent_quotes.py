"""Attacks by a host: quotes, chains and keys in evidence with one fault each."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509

from sealflow.attest.amd.endorsements import LeafFacts, _product
from sealflow.attest.amd.report import ReportKeyKind
from sealflow.attest.evidence import Role
from sealflow.attest.intel.certificates import parse_chain
from sealflow.attest.intel.checks import check_tdx
from sealflow.attest.intel.quote import split_quote
from sealflow.attest.intel.verify import read_claims
from sealflow.attest.policy import appraise
from sealflow.attest.reports import TdxReport
from sealflow.errors import EvidenceError, MalformedError
from sealflow.seal.enclave import enclave_sealing_key
from sealflow.seal.keys import Suite
from tests.support.attestation.dcap_authority import DcapAuthority
from tests.support.attestation.deployments import simulated_deployment
from tests.support.attestation.hardware_samples import REPORTS, read_sample
from tests.support.attestation.policies import NOW_MS, TDX, policy, tdx_evidence
from tests.support.attestation.quote_bodies import sgx_body, tdx_body
from tests.support.trusted.lease_host import make_identity

LAB = DcapAuthority()
SGX_QUOTE = LAB.quote(sgx_body())
TDX_QUOTE = DcapAuthority(tee="TDX").quote(tdx_body(service_td=bytes(48)))
SIGNATURE = 48 + 384
"""Where the length of an SGX quote's signature data is."""
CERTIFICATION = SIGNATURE + 4 + 128 + 384 + 64 + 2 + 32
"""Where the certification data of an SGX quote begins."""


def changed(data: bytes, at: int, new: bytes) -> bytes:
    """Replace bytes."""
    return data[:at] + new + data[at + len(new) :]


def longer(quote: bytes, at: int, by: int) -> bytes:
    """Change a length in a quote."""
    return changed(quote, at, struct.pack("<I", struct.unpack_from("<I", quote, at)[0] + by))


def cut(length: int) -> bytes:
    """An SGX quote whose signature data ends after some bytes, and says so."""
    start = SIGNATURE + 4
    return changed(SGX_QUOTE, SIGNATURE, struct.pack("<I", length))[: start + length]


@pytest.mark.parametrize(
    ("quote", "error"),
    [
        (changed(SGX_QUOTE, 4, b"\1"), "neither SGX nor TDX"),
        (changed(TDX_QUOTE, 48, b"\2"), "neither of TDX 1.0 nor of TDX 1.5"),
        (longer(SGX_QUOTE, SIGNATURE, 1), "ends within its signature"),
        (cut(128 + 384 + 64 + 1), "ends within its signature"),
        (longer(SGX_QUOTE, CERTIFICATION + 2, 1), "does not end with its signature"),
        (longer(SGX_QUOTE, CERTIFICATION + 2, -1), "does not end with its signature"),
        (changed(SGX_QUOTE, CERTIFICATION + 6, b"\xff"), "its PCK chain is not PEM"),
    ],
)
def test_layouts(quote: bytes, error: str) -> None:
    """Each length and each type in a quote is checked."""
    for good in (SGX_QUOTE, TDX_QUOTE):
        split_quote(good)
    with pytest.raises(MalformedError, match=error):
        split_quote(quote)


def test_chains() -> None:
    """A chain is a number of certificates in base64, the last of them the root."""
    pem = split_quote(SGX_QUOTE).pck_chain
    digest = hashlib.sha256(LAB.root_der).digest()
    parse_chain(pem, 3, digest, "chain")
    end = "-----END CERTIFICATE-----"
    first, rest = pem.split(end, 1)
    begin = "-----BEGIN CERTIFICATE-----"
    for bent in (
        f"{first[:-4]}{end}{rest}",
        pem + rest[rest.index(end) + len(end) :],
        rest,
        pem + "x",
        "x" + pem,
        pem + "\u2003",
        pem.replace(begin + "\n", begin, 1),
    ):
        with pytest.raises(MalformedError):
            parse_chain(bent, 3, digest, "chain")


def test_service_tds() -> None:
    """A TD that another TD may migrate is refused, also if the library would take it."""
    lab = DcapAuthority(tee="TDX")
    report = appraise(tdx_evidence(lab), policy(TDX, lab.root_der), NOW_MS).claims.report
    assert isinstance(report, TdxReport)
    assert not list(check_tdx(report, TDX.tdx))
    (found,) = check_tdx(replace(report, service_td="01" * 48), TDX.tdx)
    assert found.code == "service_td"


BODY = dict.fromkeys(
    ("mr_enclave", "mr_signer", "reserved3", "reserved4", "report_data"), "00" * 64
)
CLAIMS: dict[str, Any] = {
    "latest_issue_date": 0,
    "qe_iden_latest_issue_date": 0,
    "earliest_expiration_date": 9,
    "qe_iden_earliest_expiration_date": 9,
    "report": {
        "SgxEnclave": BODY
        | {"attributes": "00" * 16, "isv_prod_id": 0, "isv_svn": 0, "misc_select": 0}
    },
    "tcb": {"status": "UpToDate", "advisory_ids": [], "eval_data_number": 1},
    "qe": {"tcb_level": {"tcbStatus": "UpToDate", "advisoryIDs": []}, "tcb_eval_data_number": 1},
    "platform": {"pck": dict.fromkeys(("dynamic_platform", "cached_keys", "smt_enabled"), "False")},
}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"report": {}}, "quote"),
        ({"tcb": CLAIMS["tcb"] | {"status": "Unheard"}}, "tcb_status"),
        ({"tcb": []}, "quote"),
    ],
)
def test_claims_of_the_library(change: dict[str, Any], code: str) -> None:
    """Claims of the library that lack a field, or have a status that nobody knows, are refused."""
    read_claims(CLAIMS, 0, 1)
    with pytest.raises(EvidenceError) as caught:
        read_claims(CLAIMS | change, 0, 1)
    assert caught.value.code == code


def test_product_lines() -> None:
    """A leaf of one product line does not pass under AMD's root of another."""
    entry = next(each for each in REPORTS.values() if "chain" in each)
    root = x509.load_pem_x509_certificates(read_sample(entry["chain"]))[1]
    found = []
    for line in ("Milan", "Genoa", "Turin"):
        facts = LeafFacts(leaf=ReportKeyKind.VCEK, product=line, chip=None, tcb={})
        try:
            found.append(_product(root, facts, None).name)
        except EvidenceError as error:
            assert error.code == "certificate"  # noqa: PT017 - one of three passes
    assert len(found) == 1


def test_sealing_keys() -> None:
    """Nothing is sealed to a key in evidence that is no key of its suite."""
    made = simulated_deployment(NOW_MS)
    identity = make_identity(made, Role.WORKER)
    approval = appraise(identity.evidence(), made.deployment.policy(Role.WORKER), NOW_MS)
    enclave_sealing_key(approval.claims)
    bent = replace(
        approval.claims.bound, sealing_suite=int(Suite.SIMULATED_XWING), sealing_key=b"\xff" * 1216
    )
    with pytest.raises(EvidenceError) as caught:
        enclave_sealing_key(replace(approval.claims, bound=bent))
    assert caught.value.code == "bound_claims"
