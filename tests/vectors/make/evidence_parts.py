"""What the vectors of evidence share: claims, evidence and policies of one simulated key broker."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealflow.attest.evidence import BoundClaims, Evidence, Role, Tee, report_data
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.wire.domain import TrustDomain
from sealflow.wire.ids import RequestId
from tests.support.attestation.quote_bodies import sgx_body, tdx_body
from tests.support.forging.certificates import NOW_S
from tests.support.forging.intel import IntelForge

if TYPE_CHECKING:
    from collections.abc import Callable

NOW_MS = 1000 * NOW_S
ZERO_NONCE = "00" * 32
MANIFEST = "cd" * 32
SGX_REQUIREMENTS: dict[str, Any] = {"measurements": ["11" * 32]}
TDX_REQUIREMENTS: dict[str, Any] = {
    "measurements": ["33" * 48],
    "tdx": {"rtmr0": ["40" * 48], "rtmr1": ["41" * 48], "rtmr2": ["42" * 48]},
}
FIRMWARE = {"bootloader": 3, "tee": 1, "snp": 8, "microcode": 200}
SNP_REQUIREMENTS: dict[str, Any] = {
    "measurements": ["11" * 48],
    "platform_flags": ["smt_enabled"],
    "snp": {
        "min_tcb": {
            "Milan": FIRMWARE,
            "Genoa": FIRMWARE,
            "Turin": {"fmc": 2, **FIRMWARE},
        }
    },
}


def seed(name: str) -> bytes:
    """32 bytes by name, the same in every process."""
    return hashlib.sha256(b"vectors " + name.encode()).digest()


def signing_key(name: str) -> Ed25519PrivateKey:
    """An Ed25519 key by name."""
    return Ed25519PrivateKey.from_private_bytes(seed(name))


def sealing_key(name: str, suite: Suite = Suite.SIMULATED_X25519) -> OpeningKey:
    """A key to seal to, by name."""
    return OpeningKey(suite=suite, seed=seed(name))


def text(data: bytes) -> str:
    """Base64."""
    return b64encode(data).decode()


def claims(**changes: Any) -> BoundClaims:
    """Claims of a key broker in a simulation."""
    key = sealing_key("key broker")
    values: dict[str, Any] = {
        "role": Role.KEY_BROKER,
        "tee": Tee.SIMULATED,
        "deployment": "test",
        "instance": RequestId("0f" * 16),
        "nonce": ZERO_NONCE,
        "manifest_digest": MANIFEST,
        "sealing_suite": int(key.suite),
        "sealing_key": key.public_key.public,
        "signing_key": signing_key("key broker").public_key().public_bytes_raw(),
        "software": "0.1",
        **changes,
    }
    return BoundClaims(**values)


def evidence_of(
    quote: Callable[[bytes], bytes],
    collateral: bytes,
    *,
    bound: bytes | None = None,
    role: Role = Role.KEY_BROKER,
    tee: Tee = Tee.SIMULATED,
    domain: TrustDomain = TrustDomain.SIMULATED,
) -> dict[str, Any]:
    """Evidence as it travels; `quote` makes the quote of report data."""
    encoded = claims().to_bytes() if bound is None else bound
    made = quote(report_data(encoded, role, domain))
    return Evidence(tee=tee, quote=made, bound=encoded, collateral=collateral).to_json()


def sgx(forge: IntelForge | None = None, body: dict[str, Any] | None = None, **parts: Any) -> Any:
    """Evidence of an SGX enclave; `body` are fields of its report."""
    lab = forge or IntelForge()
    return evidence_of(
        lambda data: lab.quote(sgx_body(data, **(body or {}))), lab.collateral(), **parts
    )


def tdx(forge: IntelForge | None = None, body: dict[str, Any] | None = None, **parts: Any) -> Any:
    """Evidence of a trust domain; `body` are fields of its report, `second_svn` TEE_TCB_SVN2."""
    lab, fields = forge or IntelForge.of_tdx(), dict(body or {})
    second = fields.pop("second_svn", b"")

    def quote(data: bytes) -> bytes:
        made = tdx_body(data, **fields)
        return lab.quote(made[:584] + second + made[584 + len(second) :])

    return evidence_of(quote, lab.collateral(), **parts)


def policy(root: bytes, requirements: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A policy in its JSON form, for a simulation."""
    return {
        "tee": "simulated",
        "deployment": "test",
        "manifest_digest": MANIFEST,
        "insecure_simulated_root": text(root),
        "keybroker": requirements,
        **changes,
    }


def with_json(encoded: bytes, **changes: Any) -> bytes:
    """JSON with other values; None takes a key away."""
    value = {**json.loads(encoded), **changes}
    kept = {name: each for name, each in value.items() if each is not None}
    return json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()
