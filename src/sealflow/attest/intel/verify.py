"""Core: verification of SGX and TDX quotes with Intel's collateral, by the library dcap-qvl.

The library is called without a policy of its own, so it returns all claims; `checks` compares them
with ours. The library's issue dates cover certificates that are many years old, or only the newest
part, so an old TCB info beside a new revocation list would seem new. `collateral` therefore reads
the issue date of the oldest part. Spec: attestation.md, 3.2 to 3.4.

Source: Intel SGX ECDSA QuoteLibReference, quote version 3; Intel TDX DCAP Quoting Library API,
versions 4 and 5.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

import dcap_qvl

from sealflow.attest.intel.certificates import INTEL_ROOT_DIGEST, parse_chain
from sealflow.attest.intel.collateral import parse_collateral
from sealflow.attest.intel.quote import split_quote
from sealflow.attest.reports import (
    RTMRS,
    IntelPlatform,
    PlatformFlag,
    SgxReport,
    TcbStatus,
    TdxReport,
    VerifiedReport,
)
from sealflow.errors import EvidenceError, MalformedError

_PCK_CHAIN_LENGTH: Final = 3
_NO_SERVICE_TD: Final = "00" * 48
_DETAIL_CHARACTERS: Final = 200
_PCK_FLAGS: Final = frozenset(PlatformFlag) - {PlatformFlag.ALIASES_UNCHECKED}


def verify_intel_quote(
    quote: bytes, collateral: bytes, insecure_root: bytes | None, now_s: int
) -> VerifiedReport:
    """Verify signatures, certificates, revocation lists and TCB level of an SGX or TDX quote.

    `insecure_root`: the DER of a root to trust instead of Intel's, or None. `now_s`: the
    verifier's time in Unix seconds.

    Raises: EvidenceError.
    """
    root_digest = INTEL_ROOT_DIGEST if insecure_root is None else _sha256(insecure_root)
    try:
        parts = split_quote(quote)
        pck_chain = parse_chain(parts.pck_chain, _PCK_CHAIN_LENGTH, root_digest, "PCK chain")
    except MalformedError as error:
        raise EvidenceError("quote", str(error).removeprefix("quote: ")) from error
    try:
        form = parse_collateral(collateral, root_digest)
    except MalformedError as error:
        raise EvidenceError("collateral", f"Intel's collateral does not parse: {error}") from error
    if form.pck_issuer != pck_chain[1]:
        detail = "its PCK revocation list is of another issuer than the quote's PCK certificate"
        raise EvidenceError("collateral", detail)
    try:
        policy = dcap_qvl.QuotePolicy.claims_only(now_s)
        verifier = dcap_qvl.QuoteVerifier(insecure_root)
        claims = json.loads(
            verifier.verify_with_policy(quote, form.library, now_s, policy).to_json()
        )
    except ValueError as error:
        detail = str(error).removeprefix("Verification failed: ")
        raise EvidenceError("quote", detail[:_DETAIL_CHARACTERS]) from error
    report, platform = read_claims(claims, form.issued_s, now_s)
    digest = _sha256(parts.signed).hex()
    return VerifiedReport(report=report, platform=platform, report_digest=digest)


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def read_claims(
    claims: dict[str, Any], issued_s: int, now_s: int
) -> tuple[SgxReport | TdxReport, IntelPlatform]:
    """Return report and platform from the claims of dcap-qvl.

    `issued_s`: when the oldest part of the collateral was issued, in Unix seconds.

    Raises: EvidenceError for an unknown TCB status, and for collateral issued after `now_s`.
    """
    try:
        # The library accepts revocation lists with an issue date in the future.
        if now_s < max(claims["latest_issue_date"], claims["qe_iden_latest_issue_date"]):
            raise EvidenceError(
                "collateral", "its issue date is in the future: check this machine's clock"
            )
        report = claims["report"]
        return _sgx(report) if "SgxEnclave" in report else _tdx(report), _platform(claims, issued_s)
    except (KeyError, TypeError) as error:
        raise EvidenceError("quote", "the claims of dcap-qvl lack an expected field") from error
    except ValueError as error:
        raise EvidenceError("tcb_status", "the TCB status is unknown") from error


def _sgx(report: dict[str, Any]) -> SgxReport:
    body = report["SgxEnclave"]
    attributes = bytes.fromhex(body["attributes"])
    # Intel SDM volume 3D, table 38-22: CONFIGID follows MRSIGNER and 32 reserved bytes, CONFIGSVN
    # follows ISVSVN. The library calls both reserved.
    reserved, rest = bytes.fromhex(body["reserved3"]), bytes.fromhex(body["reserved4"])
    return SgxReport(
        measurement=body["mr_enclave"],
        signer=body["mr_signer"],
        product_id=body["isv_prod_id"],
        svn=body["isv_svn"],
        attributes=int.from_bytes(attributes[:8], "little"),
        xfrm=int.from_bytes(attributes[8:], "little"),
        misc_select=body["misc_select"],
        config_id=reserved[32:].hex(),
        config_svn=int.from_bytes(rest[:2], "little"),
        report_data=bytes.fromhex(body["report_data"]),
    )


def _tdx(report: dict[str, Any]) -> TdxReport:
    newer = report.get("TD15")
    body = report["TD10"] if newer is None else newer["base"]
    return TdxReport(
        measurement=body["mr_td"],
        registers={
            **{name: body[name.replace("rtmr", "rt_mr")] for name in RTMRS},
            "mr_config_id": body["mr_config_id"],
            "mr_owner": body["mr_owner"],
            "mr_owner_config": body["mr_owner_config"],
        },
        attributes=_number(body["td_attributes"]),
        xfam=_number(body["xfam"]),
        seam_signer=body["mr_signer_seam"],
        seam_attributes=_number(body["seam_attributes"]),
        service_td=_NO_SERVICE_TD if newer is None else newer["mr_service_td"],
        report_data=bytes.fromhex(body["report_data"]),
    )


def _number(little_endian: str) -> int:
    return int.from_bytes(bytes.fromhex(little_endian), "little")


def _platform(claims: dict[str, Any], issued_s: int) -> IntelPlatform:
    tcb, qe, pck = claims["tcb"], claims["qe"], claims["platform"]["pck"]
    return IntelPlatform(
        tcb_status=TcbStatus(tcb["status"]),
        qe_status=TcbStatus(qe["tcb_level"]["tcbStatus"]),
        advisories=tuple(dict.fromkeys((*tcb["advisory_ids"], *qe["tcb_level"]["advisoryIDs"]))),
        tcb_evaluation=min(tcb["eval_data_number"], qe["tcb_eval_data_number"]),
        flags=frozenset(flag for flag in _PCK_FLAGS if pck[flag.value] == "True"),
        collateral_issued_s=issued_s,
        collateral_expires_s=min(
            claims["earliest_expiration_date"], claims["qe_iden_earliest_expiration_date"]
        ),
    )
