"""Evidence for tests: bound claims, and evidence whose quote commits to them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sealflow.attest.evidence import NO_NONCE, BoundClaims, Evidence, Role, Tee, report_data
from sealflow.wire.ids import RequestId

if TYPE_CHECKING:
    from collections.abc import Callable

MANIFEST = "cd" * 32


def bound_claims(**changes: Any) -> BoundClaims:
    """Claims of a worker, in a simulation unless `tee` says otherwise, for every verifier."""
    simulated = changes.get("tee", Tee.SIMULATED) is Tee.SIMULATED
    values: dict[str, Any] = {
        "role": Role.WORKER,
        "tee": Tee.SIMULATED,
        "deployment": "test",
        "instance": RequestId("0f" * 16),
        "nonce": NO_NONCE,
        "manifest_digest": MANIFEST,
        "sealing_suite": 0xF002 if simulated else 0x0002,
        "sealing_key": b"k" * 32,
        "signing_key": b"s" * 32,
        "software": "0.1",
        **changes,
    }
    return BoundClaims(**values)


def make_evidence(
    bound: BoundClaims, quote: Callable[[bytes], bytes], collateral: bytes
) -> Evidence:
    """Evidence whose quote, made by `quote` from report data, commits to the claims."""
    encoded = bound.to_bytes()
    return Evidence(
        tee=bound.tee,
        quote=quote(report_data(encoded, bound.role, bound.tee.domain)),
        bound=encoded,
        collateral=collateral,
    )


def change_json(encoded: bytes, **changes: Any) -> bytes:
    """JSON with other values; None takes a key away."""
    value = {**json.loads(encoded), **changes}
    absent = {key for key, each in changes.items() if each is None}
    return json.dumps({key: each for key, each in value.items() if key not in absent}).encode()
