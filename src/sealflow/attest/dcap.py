"""Core, pure: Intel DCAP quotes by dcap-qvl, at a given time, from given collateral.

Takes what the library established and judges nothing itself: see `policy`. Of the library, only the
form that gives all claims is used. Source: Intel SGX ECDSA QuoteLibReference, quote version 3.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

import dcap_qvl

from sealflow.errors import EvidenceError

_SGX_VERSION: Final = 3
_SGX_TEE_TYPE: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedQuote:
    """What a genuine SGX quote says. `attributes`: the low 64 bits, as a number."""

    measurement: str
    signer: str
    product_id: int
    svn: int
    attributes: int
    report_data: bytes = field(repr=False)
    tcb_status: str
    advisories: tuple[str, ...]
    tcb_evaluation: int
    collateral_issued_s: int
    collateral_expires_s: int


def verify_quote(
    quote: bytes, collateral: bytes, insecure_root: bytes | None, now_s: int
) -> VerifiedQuote:
    """Verify signatures, certificates, revocation lists and TCB level of an SGX quote.

    `insecure_root`: DER of the root to trust instead of Intel's.

    Raises: EvidenceError.
    """
    try:
        parsed = dcap_qvl.QuoteCollateralV3.from_json(collateral.decode())
    except (ValueError, UnicodeDecodeError) as error:
        raise EvidenceError("collateral", f"it cannot be read: {error}") from error
    try:
        policy = dcap_qvl.QuotePolicy.claims_only(now_s)
        verifier = dcap_qvl.QuoteVerifier(insecure_root)
        claims = verifier.verify_with_policy(quote, parsed, now_s, policy)
        return _read(json.loads(claims.to_json()))
    except ValueError as error:
        raise EvidenceError("quote", str(error).removeprefix("Verification failed: ")) from error
    except (KeyError, TypeError) as error:
        raise EvidenceError("quote", "the verifier's claims are not as expected") from error


def _read(claims: dict[str, Any]) -> VerifiedQuote:
    header = claims["header"]
    if header["version"] != _SGX_VERSION or claims["tee_type"] != _SGX_TEE_TYPE:
        raise EvidenceError("quote", "only SGX quotes of version 3 are accepted")
    report, tcb = claims["report"]["SgxEnclave"], claims["tcb"]
    return VerifiedQuote(
        measurement=report["mr_enclave"],
        signer=report["mr_signer"],
        product_id=report["isv_prod_id"],
        svn=report["isv_svn"],
        attributes=int.from_bytes(bytes.fromhex(report["attributes"])[:8], "little"),
        report_data=bytes.fromhex(report["report_data"]),
        tcb_status=tcb["status"],
        advisories=tuple(tcb["advisory_ids"]),
        tcb_evaluation=tcb["eval_data_number"],
        collateral_issued_s=claims["latest_issue_date"],
        collateral_expires_s=min(
            claims["earliest_expiration_date"], claims["qe_iden_earliest_expiration_date"]
        ),
    )
