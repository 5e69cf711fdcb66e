"""Owner, pure: signed tokens: the compact form of JSON Web Signature (RFC 7515), read strictly.

The key alone decides the algorithm. A token cannot choose one, nor add what a reader must know.
Spec: passport.md, section 2.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from sealflow.attest.verifiers import ED25519, TrustedVerifier, base64url_bytes
from sealflow.errors import EvidenceError, MalformedError
from sealflow.seal.signing import SIGNATURE_BYTES, verify_signature
from sealflow.wire.fields import Fields
from sealflow.wire.strict_json import parse_object

MAX_TOKEN_CHARACTERS: Final = 16 * 1024
TOKEN_TYPE: Final = "eat+jwt"  # noqa: S105 - a media type
_ALGORITHMS: Final = {ED25519: ("EdDSA", "Ed25519"), "P-256": ("ES256",)}
"""The names of each curve's algorithm. EdDSA is the older name of Ed25519 (RFC 9864)."""
_PARTS: Final = 3


def verify_token(token: str, verifier: TrustedVerifier) -> dict[str, object]:
    """Return the claims of a token that a verifier's key signed.

    Raises: EvidenceError: `passport` for a token that breaks the format or names another algorithm,
        `passport_signature` if another key signed.
    """
    try:
        return _claims(token, verifier)
    except MalformedError as error:
        raise EvidenceError("passport", str(error)) from error


def _claims(token: str, verifier: TrustedVerifier) -> dict[str, object]:
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise MalformedError(f"token: over {MAX_TOKEN_CHARACTERS} characters")
    parts = token.split(".")
    if len(parts) != _PARTS:
        raise MalformedError("token: not three parts with points between")
    header, claims, signature = (base64url_bytes(part, "token: a part") for part in parts)
    _check_header(header, verifier)
    refusal = EvidenceError("passport_signature", f"{verifier.name} did not sign this passport")
    signed = f"{parts[0]}.{parts[1]}".encode()
    if len(signature) != SIGNATURE_BYTES:
        raise refusal
    if verifier.curve == ED25519:
        verify_signature(verifier.public, signature, signed, refusal)
    else:
        _verify_ecdsa(verifier, signature, signed, refusal)
    return parse_object(claims, "token: claims")


def _check_header(header: bytes, verifier: TrustedVerifier) -> None:
    fields = Fields.from_bytes(header, "token: header", ("alg", "typ"), ("kid",))
    if fields.text("alg") not in _ALGORITHMS[verifier.curve]:
        raise fields.malformed("alg", f"is not that of a key of {verifier.curve}")
    if fields.text("typ") != TOKEN_TYPE:
        raise fields.malformed("typ", f"is not {TOKEN_TYPE}")
    if "kid" in fields:
        fields.text("kid")


def _verify_ecdsa(
    verifier: TrustedVerifier, signature: bytes, signed: bytes, refusal: EvidenceError
) -> None:
    half = SIGNATURE_BYTES // 2
    r, s = int.from_bytes(signature[:half]), int.from_bytes(signature[half:])
    try:
        key = verifier.p256_numbers().public_key()
        key.verify(encode_dss_signature(r, s), signed, ECDSA(SHA256()))
    except InvalidSignature:
        raise refusal from None
