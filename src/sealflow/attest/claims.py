"""Core, pure: from evidence to claims that are true. Spec: attestation.md, section 3.

`verify` is a function of evidence, root and time alone; the one place that makes `Claims`.
"""

from __future__ import annotations

import enum
import hmac
from dataclasses import dataclass, field
from typing import Final

from sealflow.attest.dcap import verify_quote
from sealflow.attest.evidence import BoundClaims, Evidence, report_data
from sealflow.errors import EvidenceError, MalformedError
from sealflow.wire.world import World


class TcbStatus(enum.StrEnum):
    """Intel's verdict on a platform's microcode and configuration, spelled as in collateral."""

    UP_TO_DATE = "UpToDate"
    SW_HARDENING_NEEDED = "SWHardeningNeeded"
    CONFIGURATION_NEEDED = "ConfigurationNeeded"
    CONFIGURATION_AND_SW_HARDENING_NEEDED = "ConfigurationAndSWHardeningNeeded"
    OUT_OF_DATE = "OutOfDate"
    OUT_OF_DATE_CONFIGURATION_NEEDED = "OutOfDateConfigurationNeeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRoot:
    """Whose signatures count. `insecure_root`: DER of a simulated root; None is Intel's."""

    insecure_root: bytes | None = field(default=None, repr=False)

    @property
    def world(self) -> World:
        """The world that the root vouches for."""
        return World.HARDWARE if self.insecure_root is None else World.SIMULATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a genuine quote says, and what its enclave bound to it. Whether it will do: `appraise`.

    `measurement`, `signer`: MRENCLAVE and MRSIGNER in hex. Times in Unix ms.
    """

    world: World
    bound: BoundClaims
    measurement: str
    signer: str
    product_id: int
    svn: int
    attributes: int
    tcb_status: TcbStatus
    advisories: tuple[str, ...]
    tcb_evaluation: int
    collateral_issued_ms: int
    collateral_expires_ms: int
    _verified: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse claims that nobody verified."""
        if self._verified is not _VERIFIED:
            raise TypeError("claims are made by verify() alone")


def verify(evidence: Evidence, root: TrustRoot, now_ms: int) -> Claims:
    """Check quote, certificate chain, collateral and binding, offline.

    Raises: EvidenceError.
    """
    try:
        bound = BoundClaims.parse(evidence.bound)
    except MalformedError as error:
        raise EvidenceError("bound_claims", str(error)) from error
    if evidence.tee is not bound.tee or evidence.tee.world is not root.world:
        detail = f"evidence of a {evidence.tee} TEE is not judged by a {root.world.name} root"
        raise EvidenceError("world", detail)
    quote = verify_quote(evidence.quote, evidence.collateral, root.insecure_root, now_ms // 1000)
    expected = report_data(evidence.bound, bound.role, root.world)
    if not hmac.compare_digest(quote.report_data, expected):
        raise EvidenceError("report_data", "the quote was not made for these claims")
    try:
        status = TcbStatus(quote.tcb_status)
    except ValueError as error:
        raise EvidenceError("tcb_status", "the TCB status is none that is known") from error
    return Claims(
        world=root.world,
        bound=bound,
        measurement=quote.measurement,
        signer=quote.signer,
        product_id=quote.product_id,
        svn=quote.svn,
        attributes=quote.attributes,
        tcb_status=status,
        advisories=quote.advisories,
        tcb_evaluation=quote.tcb_evaluation,
        collateral_issued_ms=quote.collateral_issued_s * 1000,
        collateral_expires_ms=quote.collateral_expires_s * 1000,
        _verified=_VERIFIED,
    )


_VERIFIED: Final = object()
