"""Core, pure: from evidence to claims that are true. Spec: attestation.md, section 3.

`verify_evidence` is a function of evidence, root and time alone; the one place that makes `Claims`.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealflow.attest.amd.report import SNP_REPORT_BYTES
from sealflow.attest.evidence import BoundClaims, Evidence, Tee, report_data
from sealflow.attest.reports import IntelPlatform, Platform, Report, SgxReport, TdxReport
from sealflow.errors import EvidenceError, MalformedError
from sealflow.wire.domain import TrustDomain

if TYPE_CHECKING:
    from sealflow.attest.reports import VerifiedReport


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRoot:
    """Whose signatures count. `insecure_root`: DER of a simulated root; None is the makers' own."""

    insecure_root: bytes | None = field(default=None, repr=False)

    @property
    def domain(self) -> TrustDomain:
        """The trust domain of this root."""
        return TrustDomain.HARDWARE if self.insecure_root is None else TrustDomain.SIMULATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a genuine quote says, and what its enclave bound to it. Whether it will do: `appraise`.

    `report_digest`: SHA-256 of the signed part of the quote, in hex; the same for every encoding of
    one quote, which the quote's own bytes are not.
    """

    domain: TrustDomain
    bound: BoundClaims
    report: Report
    platform: Platform
    report_digest: str
    _verified: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse claims that nobody verified."""
        if self._verified is not _VERIFIED:
            raise TypeError("claims are made by verify() alone")

    @property
    def measurement(self) -> str:
        """MRENCLAVE, MRTD or launch digest, in hex."""
        return self.report.measurement

    @property
    def signer(self) -> str:
        """MRSIGNER or the digest of the id key, in hex; empty for TDX."""
        return self.report.signer

    @property
    def svn(self) -> int:
        """The enclave's security version; 0 for TDX."""
        return self.report.svn

    @property
    def tcb_status(self) -> str:
        """Intel's verdict on the platform; `not rated` by AMD, which gives versions only."""
        return self.platform.tcb_status if isinstance(self.platform, IntelPlatform) else "not rated"

    @property
    def advisories(self) -> tuple[str, ...]:
        """Security advisories that apply to the platform."""
        return self.platform.advisories if isinstance(self.platform, IntelPlatform) else ()

    def to_json(self) -> dict[str, object]:
        """Return what was proved for machines, common facts first."""
        return {
            "tee": self.bound.tee.value,
            "form": tee_of_report(self.report),
            "measurement": self.measurement,
            "signer": self.signer,
            "svn": self.svn,
            "tcb_status": self.tcb_status,
            "advisories": list(self.advisories),
            "collateral_issued_ms": 1000 * self.platform.collateral_issued_s,
            "collateral_expires_ms": 1000 * self.platform.collateral_expires_s,
            "registers": dict(self.report.registers) if isinstance(self.report, TdxReport) else {},
            "report_digest": self.report_digest,
        }


def tee_of_report(report: Report) -> Tee:
    """Tell which hardware's form a report has; a simulation imitates one of them."""
    if isinstance(report, SgxReport):
        return Tee.SGX
    return Tee.TDX if isinstance(report, TdxReport) else Tee.SNP


def verify_evidence(evidence: Evidence, root: TrustRoot, now_ms: int) -> Claims:
    """Check quote, certificate chain, collateral and binding, offline.

    Raises: EvidenceError.
    """
    try:
        bound = BoundClaims.from_bytes(evidence.bound)
    except MalformedError as error:
        raise EvidenceError("bound_claims", str(error)) from error
    if evidence.tee is not bound.tee or evidence.tee.domain is not root.domain:
        detail = f"evidence of a {evidence.tee} TEE is not judged by a {root.domain.name} root"
        raise EvidenceError("world", detail)
    genuine = _verify_quote(evidence, root, now_ms // 1000)
    found = tee_of_report(genuine.report)
    if evidence.tee is not Tee.SIMULATED and found is not evidence.tee:
        raise EvidenceError("world", f"the quote is of {found}, not of {evidence.tee}")
    expected = report_data(evidence.bound, bound.role, root.domain)
    if not hmac.compare_digest(genuine.report.report_data, expected):
        raise EvidenceError("report_data", "the quote was not made for these claims")
    return Claims(
        domain=root.domain,
        bound=bound,
        report=genuine.report,
        platform=genuine.platform,
        report_digest=genuine.report_digest,
        _verified=_VERIFIED,
    )


def _verify_quote(evidence: Evidence, root: TrustRoot, now_s: int) -> VerifiedReport:
    snp = evidence.tee is Tee.SNP
    # A simulation may imitate either maker; only reports of AMD have this size.
    if evidence.tee is Tee.SIMULATED and len(evidence.quote) == SNP_REPORT_BYTES:
        snp = True
    # Verifiers take long to load, and a process needs one or none.
    given = (evidence.quote, evidence.collateral, root.insecure_root, now_s)
    if snp:
        from sealflow.attest.amd.verify import verify_amd_report  # noqa: PLC0415

        return verify_amd_report(*given)
    from sealflow.attest.intel.verify import verify_intel_quote  # noqa: PLC0415

    return verify_intel_quote(*given)


_VERIFIED: Final = object()
