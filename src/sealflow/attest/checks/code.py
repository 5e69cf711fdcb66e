"""Core, pure: whose code runs, against a policy; the same for all hardware."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealflow.attest.mismatch import among, at_least
from sealflow.attest.reports import SgxReport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealflow.attest.reports import Report
    from sealflow.attest.requirements import Requirements
    from sealflow.errors import Mismatch


def check_code(report: Report, wanted: Requirements) -> Iterator[Mismatch]:
    """Compare measurement, signer, product and security version."""
    if not wanted.insecure_signer_only:
        yield from among(
            "measurement",
            "measurements",
            wanted.measurements,
            report.measurement,
            "other code runs than the policy names: ask the owner for a new policy",
        )
    if wanted.signers:
        yield from among(
            "signer", "signers", wanted.signers, report.signer, "somebody else signed the code"
        )
    if wanted.product_id is not None:
        yield from among(
            "product_id",
            "product_id",
            {str(wanted.product_id)},
            str(report.product_id) if isinstance(report, SgxReport) else "",
            "another program of the same signer runs",
        )
    yield from at_least(
        "svn",
        "min_svn",
        wanted.min_svn,
        report.svn,
        "an old release: the operator must update",
    )
