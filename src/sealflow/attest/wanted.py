"""Core, pure: which collateral a quote of one's own needs, said to the host that fetches it.

Spec: attestation.md, section 6.
"""

from __future__ import annotations

import dcap_qvl

from sealflow.attest.amd.report import PRODUCTS, SNP_REPORT_BYTES, UnverifiedReport, line_of
from sealflow.attest.evidence import Tee
from sealflow.attest.intel.quote import split_quote
from sealflow.errors import MalformedError
from sealflow.wire.strict_json import canonical


def wanted_collateral(quote: bytes) -> bytes:
    """Write the question to the host, as JSON.

    Raises: MalformedError when the quote does not say which machine made it.
    """
    if len(quote) == SNP_REPORT_BYTES:
        return _amd(UnverifiedReport.parse(quote))
    parts = split_quote(quote)
    try:
        parsed = dcap_qvl.parse_quote(quote)
        fmspc, ca = parsed.fmspc(), parsed.ca()
    except ValueError as error:
        raise MalformedError(f"quote: it brings no PCK certificate: {error}") from error
    tee = Tee.TDX if parts.tdx else Tee.SGX
    return canonical({"tee": tee.value, "fmspc": fmspc.lower(), "ca": ca})


def _amd(report: UnverifiedReport) -> bytes:
    line = line_of(report.cpu)
    # Reports that do not name the processor are older than Turin.
    product = next((each for each in PRODUCTS if each.name == line), PRODUCTS[0])
    return canonical(
        {
            "tee": Tee.SNP.value,
            "product": line,
            "leaf": report.leaf.value,
            "chip_id": (report.chip_id or b"").hex(),
            "tcb": product.read_tcb(report.reported_tcb),
        }
    )
