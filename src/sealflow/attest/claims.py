"""Core, pure: verification of evidence, which yields claims. Spec: attestation.md, section 3.

`verify_evidence` depends on evidence, root and time only. No other code can create `Claims`.
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
from sealflow.wire.fields import evidence_error

if TYPE_CHECKING:
    from sealflow.attest.reports import VerifiedReport


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRoot:
    """The root certificates that verification trusts.

    `insecure_root`: the DER of a simulated root; None for the roots of Intel and AMD.
    """

    insecure_root: bytes | None = field(default=None, repr=False)

    @property
    def domain(self) -> TrustDomain:
        """The trust domain of this root."""
        return TrustDomain.HARDWARE if self.insecure_root is None else TrustDomain.SIMULATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """The verified claims of one piece of evidence; `appraise` decides whether they suffice.

    `report`, `platform`: what the vendor's hardware states about the enclave and its machine.
    `bound`: what the enclave states, bound to its quote; `bound_bytes`: its exact bytes, which may
    have claims that this release does not know. `report_digest`: SHA-256 of the signed
    part of the quote, in hex. It identifies the quote; the quote's bytes do not, because one quote
    has several encodings.
    """

    domain: TrustDomain
    bound: BoundClaims
    bound_bytes: bytes = field(repr=False)
    report: Report
    platform: Platform
    report_digest: str
    _verified: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse any creation outside of `verify_evidence`."""
        if self._verified is not _VERIFIED:
            raise TypeError("Claims is not constructed directly: call verify_evidence()")

    @property
    def measurement(self) -> str:
        """MRENCLAVE, MRTD or launch digest, in hex."""
        return self.report.measurement

    @property
    def signer(self) -> str:
        """MRSIGNER (SGX) or the digest of the id key (SNP), in hex; empty for TDX."""
        return self.report.signer

    @property
    def svn(self) -> int:
        """The security version number (SVN) of the enclave; 0 for TDX."""
        return self.report.svn

    @property
    def tcb_status(self) -> str:
        """Intel's TCB status of the platform; `not rated` for AMD, which states versions only."""
        return self.platform.tcb_status if isinstance(self.platform, IntelPlatform) else "not rated"

    @property
    def advisories(self) -> tuple[str, ...]:
        """The ids of Intel's security advisories that apply to the platform; empty for AMD."""
        return self.platform.advisories if isinstance(self.platform, IntelPlatform) else ()

    def to_json(self) -> dict[str, object]:
        """Return the claims as a JSON object, for `--json` output."""
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
    """Return the TEE whose format a report has; a simulation imitates one of them."""
    if isinstance(report, SgxReport):
        return Tee.SGX
    return Tee.TDX if isinstance(report, TdxReport) else Tee.SNP


def verify_evidence(evidence: Evidence, root: TrustRoot, now_ms: int) -> Claims:
    """Verify quote, certificate chain, collateral and bound claims, without any network access.

    `now_ms`: the verifier's time in Unix ms.

    Raises: EvidenceError.
    """
    try:
        bound = BoundClaims.from_bytes(evidence.bound)
    except MalformedError as error:
        raise evidence_error("bound_claims", error) from error
    if evidence.tee is not bound.tee or evidence.tee.domain is not root.domain:
        detail = (
            f"the evidence names the TEE {evidence.tee} and its bound claims {bound.tee}; "
            f"a {root.domain.name.lower()} root does not verify that"
        )
        raise EvidenceError("world", detail)
    if bound.sealing_domain is not root.domain:
        raise EvidenceError("bound_claims", "the sealing key is of another trust domain")
    verified = _verify_quote(evidence, root, now_ms // 1000)
    tee = tee_of_report(verified.report)
    if evidence.tee is not Tee.SIMULATED and tee is not evidence.tee:
        raise EvidenceError("world", f"the quote is of TEE {tee}, not of {evidence.tee}")
    expected = report_data(evidence.bound, bound.role, root.domain)
    if not hmac.compare_digest(verified.report.report_data, expected):
        raise EvidenceError("report_data", "the quote is not bound to these claims")
    return Claims(
        domain=root.domain,
        bound=bound,
        bound_bytes=evidence.bound,
        report=verified.report,
        platform=verified.platform,
        report_digest=verified.report_digest,
        _verified=_VERIFIED,
    )


def _verify_quote(evidence: Evidence, root: TrustRoot, now_s: int) -> VerifiedReport:
    snp = evidence.tee is Tee.SNP
    # A simulation may imitate either vendor; only AMD's reports have this size.
    if evidence.tee is Tee.SIMULATED and len(evidence.quote) == SNP_REPORT_BYTES:
        snp = True
    # Imported late: the verifiers are slow to import, and a process needs at most one of them.
    arguments = (evidence.quote, evidence.collateral, root.insecure_root, now_s)
    if snp:
        from sealflow.attest.amd.verify import verify_amd_report  # noqa: PLC0415

        return verify_amd_report(*arguments)
    from sealflow.attest.intel.verify import verify_intel_quote  # noqa: PLC0415

    return verify_intel_quote(*arguments)


_VERIFIED: Final = object()
