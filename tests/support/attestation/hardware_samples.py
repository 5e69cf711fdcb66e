"""Samples of real hardware with what was recorded of them. Origins: tests/data/attestation."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sealflow.attest.amd.endorsements import Endorsements
from sealflow.attest.intel.verify import verify_intel_quote

if TYPE_CHECKING:
    from sealflow.attest.reports import VerifiedReport


FOLDER = Path(__file__).parents[2] / "data" / "attestation"
INDEX: dict[str, Any] = json.loads((FOLDER / "index.json").read_text())
QUOTES: dict[str, Any] = INDEX["quotes"]
REPORTS: dict[str, Any] = INDEX["snp_reports"]
GENUINE = [name for name, each in QUOTES.items() if each["expect"]["verdict"] != "rejected"]
REJECTED = sorted(QUOTES.keys() - set(GENUINE))


def read_sample(name: str) -> bytes:
    """Read a file and check that it is the one that was recorded."""
    content = (FOLDER / name).read_bytes()
    entry = QUOTES.get(name) or INDEX["collateral"].get(name)
    if entry is not None:
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    return content


def appraise_sample(
    name: str, *, at_s: int | None = None, quote: bytes | None = None
) -> VerifiedReport:
    """Verify an Intel sample at its recorded time."""
    entry = QUOTES[name]
    return verify_intel_quote(
        read_sample(name) if quote is None else quote,
        read_sample(entry["collateral"]),
        None,
        entry["verify_at"] if at_s is None else at_s,
    )


def endorsements(name: str) -> Endorsements:
    """Gather what belongs to an SNP sample; none of them came with a revocation list."""
    entry = REPORTS[name]
    middle, root = x509.load_pem_x509_certificates(read_sample(entry["chain"]))
    return Endorsements(
        leaf=read_sample(entry["leaf"]),
        intermediate=middle.public_bytes(Encoding.DER),
        root=root.public_bytes(Encoding.DER),
        crl=b"",
    )


def parse_seconds(moment: str) -> int:
    """Read a time of the index."""
    return int(datetime.fromisoformat(moment).timestamp())
