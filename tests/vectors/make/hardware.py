"""Writes evidence/hardware.json: quotes and reports of real machines, under their makers' roots."""

from __future__ import annotations

import json
from typing import Any

from sealflow.attest.evidence import Tee
from sealflow.wire.domain import TrustDomain
from tests.support.attestation.hardware_samples import (
    GENUINE,
    QUOTES,
    REPORTS,
    endorsements,
    parse_seconds,
    read_sample,
)
from tests.support.forging.intel import IntelForge
from tests.vectors.make.evidence_parts import (
    MANIFEST,
    SGX_REQUIREMENTS,
    SNP_REQUIREMENTS,
    TDX_REQUIREMENTS,
    claims,
    evidence_of,
    text,
)
from tests.vectors.make.files import VectorFile

NEWEST_LIST = {"sgx-v3-swhardening.quote"}
"""Whose PCK revocation list is the newest part of the collateral."""
REQUIREMENTS = {"sgx": SGX_REQUIREMENTS, "tdx": TDX_REQUIREMENTS, "snp": SNP_REQUIREMENTS}
AT_S = {
    "snp-milan.report": "2025-11-01T00:00:00Z",
    "snp-milan-debug.report": "2025-11-01T00:00:00Z",
    "snp-milan-vlek.report": "2025-11-01T00:00:00Z",
}


def _policy(tee: str) -> dict[str, Any]:
    return {
        "tee": tee,
        "deployment": "test",
        "manifest_digest": MANIFEST,
        "keybroker": REQUIREMENTS[tee],
    }


def _evidence(tee: str, quote: bytes, collateral: bytes) -> dict[str, Any]:
    bound = claims(tee=Tee(tee), sealing_suite=2).to_bytes()
    return evidence_of(
        lambda _data: quote, collateral, bound=bound, tee=Tee(tee), domain=TrustDomain.HARDWARE
    )


def intel_cases(file: VectorFile) -> None:
    """Quotes that were published with their collateral."""
    for name, entry in QUOTES.items():
        tee = entry["tee"].lower()
        quote, collateral = read_sample(name), read_sample(entry["collateral"])
        short = name.removesuffix(".quote")
        file.share(short, text(quote))
        file.share(entry["collateral"].removesuffix(".json"), text(collateral))
        genuine = name in GENUINE
        evidence = _evidence(tee, quote, collateral)

        def case(
            fault: str, at_s: int, expect: str, description: str, evidence: Any = evidence,
            tee: str = tee, short: str = short,
        ) -> None:  # fmt: skip
            file.case(
                f"{short}: {fault}", "attestation 3.2", expect, description, evidence=evidence,
                policy=_policy(tee), now_ms=1000 * at_s,
            )  # fmt: skip

        words = "genuine, so only the report data is not ours" if genuine else "refused: see there"
        case("as recorded", entry["verify_at"], "report_data" if genuine else "quote", words)
        if not genuine:
            continue
        window = _window(entry["collateral"])
        early = "collateral" if name in NEWEST_LIST else "quote"
        case("too early", window[0] - 1, early, "before the newest part of the collateral began")
        case("too late", window[1] + 1, "quote", "after the collateral ended")
    name = GENUINE[0]
    entry = QUOTES[name]
    tee, quote = entry["tee"].lower(), read_sample(name)
    collateral = json.loads(read_sample(entry["collateral"]))
    for fault, evidence in (
        ("body flipped", _evidence(tee, _flip(quote, 200), read_sample(entry["collateral"]))),
        ("simulated collateral", _evidence(tee, quote, IntelForge().collateral())),
        *(
            (f"{part} of another", _evidence(tee, quote, _mixed(collateral, part)))
            for part in ("tcb_info", "qe_identity", "pck_crl")
        ),
    ):
        file.case(
            f"{name.removesuffix('.quote')}: {fault}", "attestation 6.7",
            "quote" if fault == "body flipped" else "collateral",
            "a genuine quote beside something else", evidence=evidence, policy=_policy(tee),
            now_ms=1000 * entry["verify_at"],
        )  # fmt: skip
    bound = claims(tee=Tee.TDX, sealing_suite=2).to_bytes()
    lying = evidence_of(
        lambda _data: quote, read_sample(entry["collateral"]), bound=bound, tee=Tee.TDX,
        domain=TrustDomain.HARDWARE,
    )  # fmt: skip
    file.case(
        "genuine SGX for TDX", "attestation 3.1", "world", "evidence for TDX with a quote of SGX",
        evidence=lying, policy=_policy("tdx"), now_ms=1000 * entry["verify_at"],
    )  # fmt: skip


def amd_cases(file: VectorFile) -> None:
    """Reports that were published with their certificates."""
    for name in REPORTS:
        report, found = read_sample(name), endorsements(name)
        short = name.removesuffix(".report")
        evidence = _evidence("snp", report, found.to_bytes())
        at_s = parse_seconds(AT_S[name])
        for fault, changed, expect, description in (
            ("as recorded", evidence, "report_data", "genuine, only the report data is not ours"),
            ("flipped", _evidence("snp", _flip(report, 0x90), found.to_bytes()), "quote_signature",
             "one bit of its measurement"),
            ("cut", _evidence("snp", report[:-1], found.to_bytes()), "quote", "a byte is missing"),
            ("longer", _evidence("snp", report + b"\0", found.to_bytes()), "quote", "one more"),
        ):  # fmt: skip
            file.case(
                f"{short}: {fault}", "attestation 3.5", expect, description, evidence=changed,
                policy=_policy("snp"), now_ms=1000 * at_s,
            )  # fmt: skip


def _window(collateral: str) -> tuple[int, int]:
    entry = json.loads((read_sample("index.json")).decode())["collateral"][collateral]
    return parse_seconds(entry["valid_from"]), parse_seconds(entry["valid_to"])


def _mixed(collateral: dict[str, str], part: str) -> bytes:
    other = IntelForge().collateral_object()
    names = [name for name in collateral if name.startswith(part)]
    return json.dumps({**collateral, **{name: other[name] for name in names}}).encode()


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def files() -> list[VectorFile]:
    """Make the file."""
    file = VectorFile(
        path="evidence/hardware.json",
        description="Quotes and reports of real SGX, TDX and SEV-SNP machines with their makers' "
        "collateral (origins and licences: tests/data/attestation). They commit to other claims, "
        "so `report_data` says that all before it was found right.",
    )
    intel_cases(file)
    amd_cases(file)
    bounds = {case["evidence"]["bound"] for case in file.cases}
    for number, bound in enumerate(sorted(bounds)):
        file.share(f"bound {number}", bound)
    return [file]
