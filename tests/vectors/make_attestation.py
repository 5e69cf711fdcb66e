"""Writes attestation.json, once. Vectors are only ever added to, never rewritten.

Run from the repository's root: `python -m tests.vectors.make_attestation`.
"""

from __future__ import annotations

import json
from base64 import b64encode
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sealflow.attest.evidence import NO_NONCE, Evidence, Role, Tee, report_data
from sealflow.wire.domain import TrustDomain
from tests.support.attestation.dcap_authority import DcapAuthority
from tests.support.attestation.dcap_certificates import NOW_S
from tests.support.attestation.evidence import MANIFEST, bound_claims, make_evidence
from tests.support.attestation.quote_bodies import SEPT_VE_DISABLE, sgx_body, tdx_body
from tests.support.attestation.snp_authority import GUEST_POLICY, snp_authority

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
SGX, TDX, AMD = DcapAuthority(), DcapAuthority(tee="TDX"), snp_authority(NOW_S)
OLD = SGX.replace(tcb_status="OutOfDate")
SGX_POLICY: dict[str, Any] = {"measurements": ["11" * 32], "signers": ["22" * 32], "min_svn": 1}
TDX_POLICY: dict[str, Any] = {
    "measurements": ["33" * 48],
    "tdx": {"rtmr0": ["40" * 48], "rtmr1": ["41" * 48], "rtmr2": ["42" * 48]},
}
SNP_POLICY: dict[str, Any] = {
    "measurements": ["11" * 48],
    "platform_flags": ["smt_enabled", "aliases_unchecked"],
    "snp": {"insecure_any_tcb": True},
}
OTHER_POLICY: dict[str, Any] = {"measurements": ["99" * 32], "min_svn": 2}


def bound_vectors() -> list[dict[str, str]]:
    """Bound claims with the report data of both worlds."""
    vectors = []
    for role in Role:
        bound = bound_claims(role=role).to_bytes()
        vectors.append(
            {
                "role": role.value,
                "bound": bound.decode(),
                "hardware": report_data(bound, role, TrustDomain.HARDWARE).hex(),
                "simulated": report_data(bound, role, TrustDomain.SIMULATED).hex(),
            }
        )
    return vectors


def case(  # noqa: PLR0913 - each is a field of the vector
    name: str,
    evidence: Evidence,
    collateral: str,
    policy: dict[str, Any],
    expect: str | list[str],
    *,
    root: str = "intel",
    at_s: int = NOW_S,
    nonce: str = NO_NONCE,
) -> dict[str, Any]:
    """One vector: evidence, what judges it, and the verdict."""
    return {
        "name": name,
        "tee": evidence.tee.value,
        "quote": b64encode(evidence.quote).decode(),
        "bound": evidence.bound.decode(),
        "collateral": collateral,
        "root": root,
        "now_ms": 1000 * at_s,
        "nonce": nonce,
        "keybroker": policy,
        "expect": expect,
    }


def sgx(lab: DcapAuthority = SGX, **body: Any) -> Evidence:
    """Evidence of an SGX enclave."""
    return _evidence(lambda data: lab.quote(sgx_body(data, **body)))


def tdx(**body: Any) -> Evidence:
    """Evidence of a trust domain."""
    return _evidence(lambda data: TDX.quote(tdx_body(data, **body)))


def snp(**body: Any) -> Evidence:
    """Evidence of an SNP guest."""
    return _evidence(partial(AMD.report, **body))


def _evidence(quote: Callable[[bytes], bytes]) -> Evidence:
    return make_evidence(bound_claims(role=Role.KEY_BROKER), quote, b"")


def altered(evidence: Evidence, **changes: Any) -> Evidence:
    """The same evidence with other parts."""
    values = {name: getattr(evidence, name) for name in ("tee", "quote", "bound", "collateral")}
    return Evidence(**{**values, **changes})


def cases() -> list[dict[str, Any]]:
    """All verdicts."""
    good = sgx()
    flipped = bytearray(good.quote)
    flipped[48 + 64] ^= 1
    other = bound_claims(role=Role.KEY_BROKER, signing_key=b"x" * 32).to_bytes()
    return [
        case("sgx v3", good, "sgx", SGX_POLICY, []),
        case("sgx v3, padded", altered(good, quote=good.quote + bytes(100)), "sgx", SGX_POLICY, []),
        case("tdx v4", tdx(), "tdx", TDX_POLICY, []),
        case("tdx v5", tdx(service_td=bytes(48)), "tdx", TDX_POLICY, []),
        case("snp", snp(), "snp", SNP_POLICY, [], root="amd"),
        case("wrong root", good, "sgx", SGX_POLICY, "quote", root="amd"),
        case("bit flipped", altered(good, quote=bytes(flipped)), "sgx", SGX_POLICY, "quote"),
        case("tail", altered(good, quote=good.quote + b"\1"), "sgx", SGX_POLICY, "quote"),
        case("debug", sgx(attributes=0x07), "sgx", SGX_POLICY, "quote"),
        case("other claims", altered(good, bound=other), "sgx", SGX_POLICY, "report_data"),
        case("no claims", altered(good, bound=b"{}"), "sgx", SGX_POLICY, "bound_claims"),
        case("hardware", altered(good, tee=Tee.SGX), "sgx", SGX_POLICY, "world"),
        case("expired", good, "sgx", SGX_POLICY, "quote", at_s=NOW_S + 30 * 86_400),
        case("early", good, "sgx", SGX_POLICY, "quote", at_s=NOW_S - 2 * 86_400),
        case("no collateral", good, "empty", SGX_POLICY, "collateral"),
        case("of sgx for tdx", tdx(), "sgx", TDX_POLICY, "quote"),
        case("snp chip", snp(chip=bytes(64)), "snp", SNP_POLICY, "binding", root="amd"),
        case("snp root", snp(), "snp", SNP_POLICY, "root"),
        case("out of date", good, "old", SGX_POLICY, ["tcb_status"]),
        case(
            "many things",
            sgx(OLD, attributes=0x15),
            "old",
            OTHER_POLICY,
            ["nonce", "measurement", "svn", "attributes", "tcb_status"],
            nonce="ab" * 32,
        ),
        case("config id", sgx(config_id=b"\1" * 64), "sgx", SGX_POLICY, ["config_id"]),
        case("rtmr3", tdx(registers=tuple(bytes([each]) * 48 for each in (0x40, 0x41, 0x42, 9))),
             "tdx", TDX_POLICY, ["rtmr3"]),
        case("perfmon", tdx(attributes=SEPT_VE_DISABLE | 1 << 63), "tdx", TDX_POLICY,
             ["attributes"]),
        case("snp debug", snp(guest_policy=GUEST_POLICY | 1 << 19), "snp", SNP_POLICY,
             ["guest_policy"], root="amd"),
        case("snp vmpl", snp(vmpl=1), "snp", SNP_POLICY, ["vmpl"], root="amd"),
    ]  # fmt: skip


def main() -> None:
    """Write the file."""
    whole = {
        "note": "sections 1 to 4 of docs/spec/attestation.md; all of it simulated",
        "deployment": "test",
        "manifest_digest": MANIFEST,
        "report_data": bound_vectors(),
        "roots": {
            "intel": b64encode(SGX.root_der).decode(),
            "amd": b64encode(AMD.root()).decode(),
        },
        "collateral": {
            "sgx": SGX.collateral().decode(),
            "tdx": TDX.collateral().decode(),
            "snp": AMD.endorsements().to_bytes().decode(),
            "old": OLD.collateral().decode(),
            "empty": "{}",
        },
        "cases": cases(),
    }
    (HERE / "attestation.json").write_text(json.dumps(whole, indent=1) + "\n")


if __name__ == "__main__":
    main()
