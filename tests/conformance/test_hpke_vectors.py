"""Published vectors, run through our own key objects.

The vectors authenticate with extra data that our single-shot seal does not use. So the tests build
the ciphertext themselves, from the vector's shared secret and an independent key schedule
(RFC 9180, section 5.1), and our wrapper has to open it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sealflow.errors import MalformedError, OpenError
from sealflow.seal.chunked import open_chunked
from sealflow.seal.keys import OpeningKey, SealingKey, Suite

VECTORS = Path(__file__).parent.parent / "vectors"
AES_256_GCM, HKDF_SHA256 = 2, 1
X25519_KEM, XWING_KEM = 0x0020, 0x647A


def load(name: str) -> Any:
    """Read a vector file."""
    return json.loads((VECTORS / name).read_text())


def extract(salt: bytes, suite: bytes, label: bytes, ikm: bytes) -> bytes:
    """LabeledExtract of RFC 9180, section 4."""
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")


def expand(prk: bytes, suite: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """LabeledExpand of RFC 9180, section 4, for up to 32 bytes."""
    text = length.to_bytes(2) + b"HPKE-v1" + suite + label + info + b"\x01"
    return hmac.digest(prk, text, "sha256")[:length]


def seal_by_hand(kem: int, shared: bytes, enc: bytes, info: bytes, plaintext: bytes) -> bytes:
    """Base mode key schedule and one AES-256-GCM message, sequence number 0."""
    suite = b"HPKE" + kem.to_bytes(2) + HKDF_SHA256.to_bytes(2) + AES_256_GCM.to_bytes(2)
    context = (
        b"\x00" + extract(b"", suite, b"psk_id_hash", b"") + extract(b"", suite, b"info_hash", info)
    )
    secret = extract(shared, suite, b"secret", b"")
    key = expand(secret, suite, b"key", context, 32)
    nonce = expand(secret, suite, b"base_nonce", context, 12)
    return enc + AESGCM(key).encrypt(nonce, plaintext, b"")


@pytest.mark.parametrize("vector", load("hpke/rfc9180-x25519.json")["vectors"])
def test_rfc_9180_x25519_vectors_open(vector: dict[str, Any]) -> None:
    """The private key gives the vector's public key, and opens what its shared secret sealed."""
    key = OpeningKey(suite=Suite.X25519, seed=bytes.fromhex(vector["skRm"]))
    assert key.public_key.public.hex() == vector["pkRm"]
    shared, enc, info = (bytes.fromhex(vector[name]) for name in ("shared_secret", "enc", "info"))
    sealed = seal_by_hand(X25519_KEM, shared, enc, info, b"plaintext")
    assert key.open(sealed, info) == b"plaintext"


def test_the_hand_made_key_schedule_is_the_rfcs() -> None:
    """For the vector of our own suite, the schedule gives the vector's own ciphertext."""
    (vector,) = (
        v
        for v in load("hpke/rfc9180-x25519.json")["vectors"]
        if (v["kdf_id"], v["aead_id"]) == (HKDF_SHA256, AES_256_GCM)
    )
    first = vector["encryption"]
    key, nonce = bytes.fromhex(vector["key"]), bytes.fromhex(vector["base_nonce"])
    plaintext, aad = bytes.fromhex(first["pt"]), bytes.fromhex(first["aad"])
    assert AESGCM(key).encrypt(nonce, plaintext, aad).hex() == first["ct"]
    shared, info = bytes.fromhex(vector["shared_secret"]), bytes.fromhex(vector["info"])
    by_hand = seal_by_hand(X25519_KEM, shared, b"", info, plaintext)
    assert by_hand == AESGCM(key).encrypt(nonce, plaintext, b"")


@pytest.mark.parametrize("vector", load("hpke/hpke-pq-xwing.json")["vectors"])
def test_x_wing_vectors_open(vector: dict[str, Any]) -> None:
    """Our seed expansion gives the draft's public key, and its encapsulation opens."""
    key = OpeningKey(suite=Suite.XWING, seed=bytes.fromhex(vector["skRm"]))
    assert key.public_key.public.hex() == vector["pkRm"]
    shared, enc, info = (bytes.fromhex(vector[name]) for name in ("shared_secret", "enc", "info"))
    assert key.open(seal_by_hand(XWING_KEM, shared, enc, info, b"plaintext"), info) == b"plaintext"


X25519_CASES = load("wycheproof/x25519_test.json")["testGroups"][0]["tests"]


def dhkem_shared(public: bytes, enc: bytes, dh: bytes) -> bytes:
    """ExtractAndExpand of RFC 9180, section 4.1."""
    suite = b"KEM" + X25519_KEM.to_bytes(2)
    prk = extract(b"", suite, b"eae_prk", dh)
    return expand(prk, suite, b"shared_secret", enc + public, 32)


def test_wycheproof_x25519_as_encapsulations() -> None:
    """Each public value, used as `enc`, opens with its shared value; low order never does."""
    for case in X25519_CASES:
        enc, private, dh = (bytes.fromhex(case[name]) for name in ("public", "private", "shared"))
        own = x25519.X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
        key = OpeningKey(suite=Suite.X25519, seed=private)
        sealed = seal_by_hand(X25519_KEM, dhkem_shared(own, enc, dh), enc, b"", b"plaintext")
        if "ZeroSharedSecret" in case["flags"]:
            with pytest.raises(OpenError):
                key.open(sealed, b"")
        else:
            assert key.open(sealed, b"") == b"plaintext", case["tcId"]


def test_wycheproof_low_order_public_keys_are_never_sealed_to() -> None:
    """A recipient's key of low order would give a secret that everybody knows."""
    cases = [case for case in X25519_CASES if "ZeroSharedSecret" in case["flags"]]
    assert cases
    for case in cases:
        key = SealingKey(suite=Suite.X25519, public=bytes.fromhex(case["public"]))
        with pytest.raises(MalformedError, match="low order"):
            key.seal(b"secret", b"")


CHUNKED = load("wycheproof/c2sp_chunked_encryption_aes_256_gcm_test.json")["testGroups"]


@pytest.mark.parametrize(
    "case", [case for group in CHUNKED for case in group["tests"]], ids=lambda case: case["comment"]
)
def test_wycheproof_chunked_encryption(case: dict[str, Any]) -> None:
    """Valid messages come out whole; of invalid ones, not a byte."""
    key, context = bytes.fromhex(case["key"]), bytes.fromhex(case["ctx"])
    sealed = zlib.decompress(bytes.fromhex(case["ct"]))
    if case["result"] == "valid":
        opened = open_chunked(key, context, sealed)
        assert len(opened) == case["msgLength"]
        assert hashlib.sha512(opened).hexdigest() == case["msgSha512"]
    else:
        with pytest.raises(OpenError):
            open_chunked(key, context, sealed)
