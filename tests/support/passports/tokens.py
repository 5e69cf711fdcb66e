"""Tokens of verifiers with known keys, about a key broker on hardware that does not exist."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from sealflow.attest.evidence import NO_NONCE, BoundClaims, Evidence
from sealflow.attest.verifiers import base64url
from sealflow.errors import EvidenceError
from sealflow.owner import Policy, Requirements, Role, Tee, TrustedVerifier
from sealflow.owner.passport.passport import (
    EXTENSION,
    PROFILE,
    SUBMODULE,
    PassportClaims,
    Tier,
    verify_passport,
)
from sealflow.owner.verifier.verifier_key import VerifierKey
from tests.support.attestation.evidence import MANIFEST, bound_claims

NOW_S = 1_790_000_000
NOW_MS = 1000 * NOW_S
MEASUREMENT = "11" * 32
ED25519 = VerifierKey(private=Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
P256 = VerifierKey(private=derive_private_key(0x5EA1F103, SECP256R1()))
OTHER = VerifierKey(private=Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
HEADER = {"alg": "EdDSA", "typ": "eat+jwt"}


def hardware_bound(**changes: Any) -> BoundClaims:
    """Claims of a key broker in an SGX enclave, for everybody."""
    values: dict[str, Any] = {
        "role": Role.KEY_BROKER,
        "tee": Tee.SGX,
        "nonce": NO_NONCE,
        "sealing_suite": 0x0002,
    }
    return bound_claims(**values | changes)


def simulated_bound() -> BoundClaims:
    """Claims of a simulated key broker."""
    return hardware_bound(tee=Tee.SIMULATED, sealing_suite=0xF002)


def shown_evidence(bound: BoundClaims | None = None) -> Evidence:
    """Evidence whose quote nobody looks at."""
    bound = bound or hardware_bound()
    return Evidence(tee=bound.tee, quote=b"", bound=bound.to_bytes(), collateral=b"")


def hardware_policy(*verifiers: TrustedVerifier, **changes: Any) -> Policy:
    """A policy that the key broker of `hardware_bound` meets, as far as passports say."""
    requirements = Requirements(measurements=frozenset({MEASUREMENT}), min_svn=3)
    values: dict[str, Any] = {
        "role": Role.KEY_BROKER,
        "tee": Tee.SGX,
        "deployment": "test",
        "manifest_digest": MANIFEST,
        "requirements": requirements,
        "verifiers": verifiers,
    }
    return Policy(**values | changes)


def passport_claims(bound: BoundClaims | None = None, **changes: Any) -> PassportClaims:
    """What a verifier says about a key broker that passes."""
    bound = bound or hardware_bound()
    claims = PassportClaims(
        tier=Tier.AFFIRMING,
        bound_digest=hashlib.sha256(bound.to_bytes()).hexdigest(),
        role=bound.role,
        tee=bound.tee,
        form=Tee.SGX,
        deployment=bound.deployment,
        manifest_digest=bound.manifest_digest,
        measurement=MEASUREMENT,
        signer="22" * 32,
        product_id=7,
        svn=3,
        registers={},
        tcb_status="UpToDate",
        qe_status="UpToDate",
        advisories=(),
        collateral_issued_ms=NOW_MS - 3_600_000,
    )
    return replace(claims, **changes)


def ear(claims: PassportClaims | None = None, **changes: Any) -> dict[str, Any]:
    """The claims of a token; None takes one away."""
    claims = claims or passport_claims()
    value: dict[str, Any] = {
        "eat_profile": PROFILE,
        "iat": NOW_S,
        "exp": NOW_S + 3600,
        "ear_verifier_id": {"developer": "Sealflow", "build": "test"},
        "submods": {SUBMODULE: {"ear_status": claims.tier.value, EXTENSION: claims.to_json()}},
        **changes,
    }
    return {name: each for name, each in value.items() if each is not None}


def sign(
    claims: dict[str, Any] | bytes,
    key: VerifierKey = ED25519,
    header: dict[str, Any] | bytes | None = None,
) -> str:
    """A token with any header and claims, signed by a key."""
    if header is None:
        header = {**HEADER, "alg": "EdDSA" if key.curve == "Ed25519" else "ES256"}
    parts = [each if isinstance(each, bytes) else _json(each) for each in (header, claims)]
    signed = ".".join(map(base64url, parts))
    return f"{signed}.{base64url(raw_signature(signed.encode(), key))}"


def raw_signature(signed: bytes, key: VerifierKey) -> bytes:
    """The signature in the form of JSON Web Signature: 64 bytes."""
    if isinstance(key.private, Ed25519PrivateKey):
        return key.private.sign(signed)
    r, s = decode_dss_signature(key.private.sign(signed, ECDSA(SHA256())))
    return r.to_bytes(32) + s.to_bytes(32)


def code_of(token: str, verifier: TrustedVerifier | None = None, now_ms: int = NOW_MS) -> str:
    """Check a token; gives `ok`, or the code of the error."""
    try:
        verify_passport(token, verifier or ED25519.trusted("v"), now_ms)
    except EvidenceError as error:
        return error.code
    return "ok"


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
