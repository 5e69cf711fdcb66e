"""Writes passport.json: passports, and what must be refused of them. What is there stays.

Run from the repository's root: `python -m tests.vectors.make_passport`.
"""

from __future__ import annotations

import hmac
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

from sealflow.attest.verifiers import base64url
from sealflow.owner.passport.passport import Tier
from tests.support.passports.tokens import (
    ED25519,
    HEADER,
    NOW_MS,
    NOW_S,
    OTHER,
    P256,
    ear,
    hardware_bound,
    hardware_policy,
    passport_claims,
    sign,
    simulated_bound,
)

CLAIMS = json.dumps(ear(), separators=(",", ":")).encode()
SIMULATED = simulated_bound()


def main() -> None:
    """Make what is missing."""
    path = Path(__file__).parent / "passport.json"
    value: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    value |= {
        "now_ms": NOW_MS,
        "verifiers": {
            "ed25519": ED25519.trusted("ed25519").to_json(),
            "p256": P256.trusted("p256").to_json(),
        },
        "policies": {"hardware": _hardware(), "simulated": _simulated()},
        "bound": {
            "hardware": b64encode(hardware_bound().to_bytes()).decode(),
            "simulated": b64encode(SIMULATED.to_bytes()).decode(),
            "another": b64encode(hardware_bound(signing_key=b"t" * 32).to_bytes()).decode(),
        },
    }
    known = value.setdefault("cases", {})
    value["cases"] = {name: known.get(name) or case for name, case in _cases().items()}
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")


def _case(token: str, expect: str | list[str], **changes: Any) -> dict[str, Any]:
    """A case: by default about the hardware, its policy, and the key of Ed25519, at `now_ms`.

    `expect`: `ok`, one code, or the codes of all mismatches.
    """
    case = {"verifier": "ed25519", "policy": "hardware", "bound": "hardware", "now_ms": NOW_MS}
    return {**case, "token": token, "expect": expect, **changes}


def _cases() -> dict[str, dict[str, Any]]:
    good = sign(ear())
    head, claims, signature = good.split(".")
    simulated = passport_claims(SIMULATED, tier=Tier.CONTRAINDICATED)
    other = passport_claims(deployment="other")
    return {
        "good": _case(good, "ok"),
        "good, ES256": _case(sign(ear(), P256), "ok", verifier="p256"),
        "good, named Ed25519": _case(sign(CLAIMS, header={**HEADER, "alg": "Ed25519"}), "ok"),
        "good, with kid": _case(sign(CLAIMS, header={**HEADER, "kid": "x"}), "ok"),
        "good, unknown claims": _case(sign(ear(jti="x", x={"y": [1]})), "ok"),
        "good, last moment": _case(good, "ok", now_ms=NOW_MS + 3_599_999),
        "good, clock 5 minutes behind": _case(good, "ok", now_ms=NOW_MS - 300_000),
        "good, simulated": _case(sign(ear(simulated)), "ok", policy="simulated", bound="simulated"),
        "another key": _case(sign(ear(), OTHER), "passport_signature"),
        "key of another curve": _case(sign(ear(), P256), "passport"),
        "flipped claim": _case(
            f"{head}.{base64url(CLAIMS.replace(b'UpToDate', b'upToDate', 1))}.{signature}",
            "passport_signature",
        ),
        "short signature": _case(f"{head}.{claims}.{base64url(bytes(63))}", "passport_signature"),
        "alg none": _case(base64url(b'{"alg":"none","typ":"eat+jwt"}') + f".{claims}.", "passport"),
        "alg HS256 with the public key": _case(_hmac(), "passport"),
        "alg of another key": _case(sign(CLAIMS, header={**HEADER, "alg": "ES256"}), "passport"),
        "typ JWT": _case(sign(CLAIMS, header={**HEADER, "typ": "JWT"}), "passport"),
        "crit": _case(sign(CLAIMS, header={**HEADER, "crit": ["x"], "x": 1}), "passport"),
        "key in the header": _case(
            sign(CLAIMS, OTHER, {**HEADER, "jwk": OTHER.trusted("x").jwk}), "passport"
        ),
        "doubled key in the header": _case(
            sign(CLAIMS, header=b'{"alg":"EdDSA","alg":"EdDSA","typ":"eat+jwt"}'), "passport"
        ),
        "doubled claim": _case(sign(CLAIMS[:-1] + b',"iat":%d}' % NOW_S), "passport"),
        "bytes after the claims": _case(sign(CLAIMS + b"x"), "passport"),
        "bytes after the token": _case(f"{good}\n", "passport"),
        "padding": _case(f"{good}==", "passport"),
        "a fourth part": _case(f"{good}.", "passport"),
        "unused bits": _case(f"{head}.{claims}.{_unused(signature)}", "passport"),
        "over 16,384 characters": _case(sign(ear(x="x" * 16_384)), "passport"),
        "profile of another draft": _case(
            sign(ear(eat_profile="tag:ietf.org,2026:rats/ear#03")), "passport"
        ),
        "newer format": _case(sign(_changed(format=2)), "format"),
        "unknown critical field": _case(sign(_changed(critical=["x"], x=1)), "critical"),
        "fraction in iat": _case(sign(ear(iat=NOW_S + 0.5)), "passport"),
        "no exp": _case(sign(ear(exp=None)), "passport"),
        "over seven days": _case(sign(ear(exp=NOW_S + 604_801)), "passport"),
        "aud": _case(sign(ear(aud="x")), "passport"),
        "expired": _case(good, "passport_expired", now_ms=NOW_MS + 3_600_000),
        "early": _case(good, "passport_early", now_ms=NOW_MS - 300_001),
        "not before": _case(sign(ear(nbf=NOW_S + 301)), "passport_early"),
        "another key broker": _case(good, "passport_bound", bound="another"),
        "another deployment": _case(sign(ear(other)), "passport_bound"),
        "another measurement": _case(
            sign(ear(passport_claims(measurement="12" * 32))), ["measurement"]
        ),
        "out of date": _case(
            sign(ear(passport_claims(tcb_status="OutOfDate", svn=2))), ["svn", "tcb_status"]
        ),
        "open advisory": _case(
            sign(ear(passport_claims(advisories=("INTEL-SA-00615",)))), ["advisories"]
        ),
        "old collateral": _case(
            sign(ear(passport_claims(collateral_issued_ms=NOW_MS - 31 * 86_400_000))),
            ["collateral_age"],
        ),
        "contraindicated": _case(
            sign(ear(passport_claims(tier=Tier.CONTRAINDICATED))), ["passport_status"]
        ),
        "simulation for hardware": _case(
            sign(ear(simulated)), ["tee", "passport_status"], bound="simulated"
        ),
        "simulation that says it affirms": _case(
            sign(ear(passport_claims(SIMULATED))), ["tee"], bound="simulated"
        ),
        "hardware for a simulation": _case(good, ["tee"], policy="simulated"),
    }


def _changed(**changes: Any) -> dict[str, Any]:
    value = ear()
    value["submods"]["keybroker"]["sealflow_passport"] |= changes
    return value


def _hmac() -> str:
    head = base64url(b'{"alg":"HS256","typ":"eat+jwt"}')
    signed = f"{head}.{base64url(CLAIMS)}"
    tag = hmac.digest(ED25519.trusted("x").public, signed.encode(), "sha256")
    return f"{signed}.{base64url(tag)}"


def _unused(signature: str) -> str:
    """A signature of 64 bytes ends with four unused bits; set one."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return signature[:-1] + alphabet[alphabet.index(signature[-1]) + 1]


def _hardware() -> dict[str, Any]:
    policy = hardware_policy()
    return {
        "tee": "sgx",
        "deployment": policy.deployment,
        "manifest_digest": policy.manifest_digest,
        "keybroker": policy.requirements.to_json(),
    }


def _simulated() -> dict[str, Any]:
    root = b64encode(b"not looked at").decode()
    return {**_hardware(), "tee": "simulated", "insecure_simulated_root": root}


if __name__ == "__main__":
    main()
