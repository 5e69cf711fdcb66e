"""Core: sets up a simulated platform; no enclave does so, the machine's operator does."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from sealflow.attest.simulated.authority import QE_PRODUCT_ID, QE_SIGNER, found_authority
from sealflow.attest.simulated.platform import Platform
from sealflow.attest.simulated.quote_form import (
    AUTH_DATA,
    QE_SVN,
    point,
    raw_signature,
    report_body,
)

LIFE: Final = timedelta(days=365)
_QE_ATTRIBUTES: Final = 0x11


def found_platform(
    now_ms: int, *, life: timedelta = LIFE, tcb_status: str = "UpToDate"
) -> Platform:
    """Draw a platform's keys under a new root; see `found_authority`."""
    authority = found_authority(now_ms, life, tcb_status=tcb_status)
    key = ec.generate_private_key(ec.SECP256R1())
    binding = hashlib.sha256(point(key) + AUTH_DATA).digest() + bytes(32)
    report = report_body(bytes(32), QE_SIGNER, QE_PRODUCT_ID, QE_SVN, _QE_ATTRIBUTES, binding)
    return Platform(
        root_der=authority.root_der,
        collateral=authority.collateral,
        pck_chain=authority.pck_chain,
        key=key,
        qe_report=report,
        qe_signature=raw_signature(authority.pck_key, report),
    )
