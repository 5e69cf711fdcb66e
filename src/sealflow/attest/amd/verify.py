"""Core, pure: verification of SEV-SNP reports at a given time, with given endorsements.

`checks` compares the verified report with a policy. Spec: attestation.md, 3.5.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from sealflow.attest.amd.endorsements import Endorsed, Endorsements, verify_endorsements
from sealflow.attest.amd.report import ReportKeyKind, UnverifiedReport
from sealflow.attest.reports import AmdPlatform, SnpReport, VerifiedReport
from sealflow.errors import EvidenceError, MalformedError

if TYPE_CHECKING:
    from sealflow.attest.amd.report import Product


def verify_amd_report(
    report: bytes, collateral: bytes, insecure_root: bytes | None, now_s: int
) -> VerifiedReport:
    """Verify certificate chain and signature, and that the leaf is of this chip and this TCB.

    `insecure_root`: the DER of a root to trust instead of AMD's, or None. `now_s`: the verifier's
    time in Unix seconds.

    Raises: EvidenceError.
    """
    try:
        unverified = UnverifiedReport.from_bytes(report)
    except MalformedError as error:
        raise EvidenceError("quote", str(error)) from error
    try:
        endorsements = Endorsements.from_bytes(collateral)
    except MalformedError as error:
        raise EvidenceError("collateral", str(error)) from error
    endorsed = verify_endorsements(endorsements, insecure_root, now_s)
    _check_signature(unverified, endorsed)
    _check_binding(unverified, endorsed)
    return VerifiedReport(
        report=_snp_report(unverified, endorsed.product),
        platform=AmdPlatform(
            revocations_checked=endorsed.issued_s is not None,
            collateral_issued_s=now_s if endorsed.issued_s is None else endorsed.issued_s,
            collateral_expires_s=endorsed.expires_s,
        ),
        report_digest=hashlib.sha256(unverified.signed).hexdigest(),
    )


def _snp_report(unverified: UnverifiedReport, product: Product) -> SnpReport:
    return SnpReport(
        version=unverified.version,
        product=product.name,
        leaf=unverified.leaf.value,
        measurement=unverified.measurement.hex(),
        signer=unverified.id_key.hex(),
        svn=unverified.guest_svn,
        guest_policy=unverified.guest_policy,
        vmpl=unverified.vmpl,
        platform_info=unverified.platform_info,
        host_data=unverified.host_data.hex(),
        author_key=unverified.author_key.hex(),
        chip_id=(unverified.chip_id or b"").hex(),
        reported_tcb=product.read_tcb(unverified.reported_tcb),
        committed_tcb=product.read_tcb(unverified.committed_tcb),
        launch_tcb=product.read_tcb(unverified.launch_tcb),
        cpu=None if unverified.cpu is None else (*unverified.cpu, unverified.stepping),
        report_data=unverified.report_data,
    )


def _check_signature(report: UnverifiedReport, endorsed: Endorsed) -> None:
    try:
        endorsed.key.verify(
            encode_dss_signature(report.r, report.s), report.signed, ECDSA(SHA384())
        )
    except InvalidSignature as error:
        raise EvidenceError(
            "quote_signature", "the report is not signed by the leaf's key"
        ) from error


def _check_binding(report: UnverifiedReport, endorsed: Endorsed) -> None:
    facts = endorsed.facts
    if facts.leaf is not report.leaf:
        raise EvidenceError(
            "binding", f"the report names a {report.leaf}, but the leaf is a {facts.leaf}"
        )
    if facts.leaf is ReportKeyKind.VCEK:
        if report.chip_id is None:
            raise EvidenceError("binding", "the report hides its chip id, so no VCEK matches it")
        chip = facts.chip or b""
        if report.chip_id != chip.ljust(len(report.chip_id), b"\0"):
            raise EvidenceError("binding", "the leaf is of another chip than the report")
    reported = endorsed.product.read_tcb(report.reported_tcb)
    if any(facts.tcb.get(part) != version for part, version in reported.items()):
        raise EvidenceError("binding", "the leaf is of another TCB than the report")
