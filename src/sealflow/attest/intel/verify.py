"""Core: verification of SGX and TDX quotes with Intel's collateral, by the library dcap-qvl.

The library is called without a policy of its own, so it returns all claims; `checks` compares them
with ours. The library's issue dates cover certificates that are many years old, or only the newest
part, so an old TCB info beside a new revocation list would seem new. This module therefore reads
the issue date of the oldest part itself. Spec: attestation.md, 3.2 to 3.4.

Source: Intel SGX ECDSA QuoteLibReference, quote version 3; Intel TDX DCAP Quoting Library API,
versions 4 and 5.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import dcap_qvl
from cryptography import x509

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
from sealflow.attest.x509_errors import X509_ERRORS
from sealflow.errors import EvidenceError, MalformedError
from sealflow.wire.strict_json import parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping


_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_NO_SERVICE_TD: Final = "00" * 48
_DETAIL_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedDates:
    """The issue date of collateral, unverified.

    `issued_s`: Unix seconds of the oldest of TCB info, QE identity and PCK revocation list.
    """

    issued_s: int


def read_dates(collateral: bytes) -> UnverifiedDates:
    """Return the dates of collateral from TCB info, QE identity and the PCK revocation list.

    Raises: MalformedError.
    """
    value = parse_object(collateral, "collateral")
    issued = [
        _issue_date_s(parse_object(_text(value, name).encode(), name), name)
        for name in ("tcb_info", "qe_identity")
    ]
    try:
        crl = x509.load_der_x509_crl(bytes.fromhex(_text(value, "pck_crl")))
        issued.append(int(crl.last_update_utc.timestamp()))
    except X509_ERRORS as error:
        raise MalformedError("pck_crl: not the hex of a revocation list in DER") from error
    return UnverifiedDates(issued_s=min(issued))


def _issue_date_s(value: Mapping[str, object], name: str) -> int:
    text = value.get("issueDate")
    if not isinstance(text, str) or _TIME.fullmatch(text) is None:
        raise MalformedError(f"{name}: issueDate is not a UTC timestamp")
    try:
        return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())
    except ValueError as error:
        raise MalformedError(f"{name}: issueDate is not a UTC timestamp") from error


def _text(value: Mapping[str, object], name: str) -> str:
    text = value.get(name)
    if not isinstance(text, str):
        raise MalformedError(f"{name}: not a string")
    return text


def verify_intel_quote(
    quote: bytes, collateral: bytes, insecure_root: bytes | None, now_s: int
) -> VerifiedReport:
    """Verify signatures, certificates, revocation lists and TCB level of an SGX or TDX quote.

    `insecure_root`: the DER of a root to trust instead of Intel's, or None. `now_s`: the
    verifier's time in Unix seconds.

    Raises: EvidenceError.
    """
    try:
        parts = split_quote(quote)
    except MalformedError as error:
        raise EvidenceError("quote", str(error).removeprefix("quote: ")) from error
    try:
        dates = read_dates(collateral)
        parsed = dcap_qvl.QuoteCollateralV3.from_json(collateral.decode())
    except (ValueError, MalformedError) as error:
        raise EvidenceError("collateral", f"Intel's collateral does not parse: {error}") from error
    try:
        policy = dcap_qvl.QuotePolicy.claims_only(now_s)
        verifier = dcap_qvl.QuoteVerifier(insecure_root)
        claims = json.loads(verifier.verify_with_policy(quote, parsed, now_s, policy).to_json())
    except ValueError as error:
        detail = str(error).removeprefix("Verification failed: ")
        raise EvidenceError("quote", detail[:_DETAIL_CHARACTERS]) from error
    report, platform = read_claims(claims, dates, now_s)
    digest = hashlib.sha256(parts.signed).hexdigest()
    return VerifiedReport(report=report, platform=platform, report_digest=digest)


def read_claims(
    claims: dict[str, Any], dates: UnverifiedDates, now_s: int
) -> tuple[SgxReport | TdxReport, IntelPlatform]:
    """Return report and platform from the claims of dcap-qvl.

    `dates`: those of the collateral that the library verified.

    Raises: EvidenceError for an unknown TCB status, and for collateral issued after `now_s`.
    """
    try:
        # The library accepts revocation lists with an issue date in the future.
        if now_s < max(claims["latest_issue_date"], claims["qe_iden_latest_issue_date"]):
            raise EvidenceError(
                "collateral", "its issue date is in the future: check this machine's clock"
            )
        report = claims["report"]
        return _sgx(report) if "SgxEnclave" in report else _tdx(report), _platform(claims, dates)
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


def _platform(claims: dict[str, Any], dates: UnverifiedDates) -> IntelPlatform:
    """Return the facts about the platform; `dates` are those of verified collateral."""
    tcb, qe, pck = claims["tcb"], claims["qe"], claims["platform"]["pck"]
    return IntelPlatform(
        tcb_status=TcbStatus(tcb["status"]),
        qe_status=TcbStatus(qe["tcb_level"]["tcbStatus"]),
        advisories=tuple(dict.fromkeys((*tcb["advisory_ids"], *qe["tcb_level"]["advisoryIDs"]))),
        tcb_evaluation=min(tcb["eval_data_number"], qe["tcb_eval_data_number"]),
        flags=frozenset(flag for flag in PlatformFlag if pck[flag.value] == "True"),
        collateral_issued_s=dates.issued_s,
        collateral_expires_s=min(
            claims["earliest_expiration_date"], claims["qe_iden_earliest_expiration_date"]
        ),
    )
