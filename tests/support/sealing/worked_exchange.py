"""One request and its reply, step by step from fixed seeds, by the formulas of the specifications.

Nothing of `sealflow` computes here, so that the steps judge it. Every value is one of
docs/spec/client.md, section 11.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.support.sealing.ml_kem import encapsulate

FILE = Path(__file__).parents[2] / "vectors" / "worked_exchange.json"
X25519, XWING = 0x0002, 0x0001
KEM_IDS = {X25519: 0x0020, XWING: 0x647A}
HKDF_SHA256, AES_256_GCM = 0x0001, 0x0002
XWING_LABEL = b"\\.//^\\"
CHUNK = 16_384
MODEL_DIGEST = "d1" * 32
TENSOR = struct.pack("<4f", 1.0, 2.0, 3.0, 4.0)
SCORES = struct.pack("<3f", 0.25, 0.5, 0.25)
REQUEST = (
    b'{"inputs":[{"datatype":"FP32","name":"x","parameters":{"binary_data_size":16},'
    b'"shape":[1,4]}]}'
)
REPLY = (
    b'{"model_name":"tiny","model_version":"1","outputs":[{"datatype":"FP32",'
    b'"name":"probabilities","parameters":{"binary_data_size":12},"shape":[1,3]}]}'
)
MESSAGES = {"request": (REQUEST, TENSOR), "reply": (REPLY, SCORES)}


def vectors() -> dict[str, Any]:
    """Return the content of tests/vectors/worked_exchange.json."""
    return {
        "description": (
            "One request and its reply in each suite of the hardware trust domain, with every "
            "value between, in hex and in the order of docs/spec/client.md, section 11. What is "
            "random in use counts up here: an implementation computes all other values."
        ),
        "cases": [
            {"name": name, "rule": "exchange 5.1", "suite": suite, "steps": worked(suite)}
            for name, suite in (("X25519", X25519), ("X-Wing", XWING))
        ],
    }


def count(first: int, length: int) -> bytes:
    """Return bytes that count up: what stands for random bytes here."""
    return bytes(range(first, first + length))


def label(purpose: str) -> bytes:
    """Return a label of the hardware trust domain."""
    return b"sealflow/1 " + purpose.encode() + b"\0"


def lp(value: bytes) -> bytes:
    """Return a value after its length."""
    return struct.pack(">I", len(value)) + value


def extract(salt: bytes, ikm: bytes) -> bytes:
    """HKDF-Extract with SHA-256 (RFC 5869)."""
    return hmac.digest(salt or bytes(32), ikm, "sha256")


def expand(prk: bytes, info: bytes, length: int, name: str = "sha256") -> bytes:
    """HKDF-Expand (RFC 5869)."""
    okm = block = b""
    while len(okm) < length:
        block = hmac.digest(
            prk, block + info + bytes([len(okm) // len(block) + 1 if block else 1]), name
        )
        okm += block
    return okm[:length]


def hkdf(ikm: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 to 32 bytes."""
    return expand(extract(salt, ikm), info, 32)


def labeled_extract(suite_id: bytes, salt: bytes, name: bytes, ikm: bytes) -> bytes:
    """LabeledExtract of RFC 9180, section 4."""
    return extract(salt, b"HPKE-v1" + suite_id + name + ikm)


def labeled_expand(suite_id: bytes, prk: bytes, name: bytes, info: bytes, length: int) -> bytes:
    """LabeledExpand of RFC 9180, section 4."""
    return expand(prk, struct.pack(">H", length) + b"HPKE-v1" + suite_id + name + info, length)


def cobblestone(key: bytes, salt: bytes, context: bytes, message: bytes) -> dict[str, bytes]:
    """Return the derived values and the result of Cobblestone-256 with a given salt."""
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + salt + context
    okm = expand(key, info, 76, "sha512")
    aes_key, base, commitment = okm[:32], int.from_bytes(okm[32:44]), okm[44:]
    chunks = [message[at : at + CHUNK] for at in range(0, len(message) + 1, CHUNK)]
    sealed = [
        AESGCM(aes_key).encrypt((base ^ i).to_bytes(12), chunk, None)
        for i, chunk in enumerate(chunks)
    ]
    return {
        "salt": salt,
        "aes_key": aes_key,
        "base_nonce": okm[32:44],
        "commitment": commitment,
        "body": salt + commitment + b"".join(sealed),
    }


def padded(content: bytes) -> bytes:
    """Return a content with its length and Padmé padding."""
    whole = lp(content)
    exponent = len(whole).bit_length() - 1
    step = 1 << (exponent - exponent.bit_length())
    return whole + bytes(-len(whole) % step)


class Steps(dict[str, str]):
    """The values in the order in which they are computed, bytes in hex."""

    def put(self, name: str, value: bytes) -> bytes:
        """Keep a value and return it."""
        self[name] = value.hex()
        return value


def kem(steps: Steps, suite: int, seed: bytes) -> tuple[bytes, bytes, bytes]:
    """Return public key, enc and shared secret."""
    curve_seed = seed
    mlkem = None
    if suite == XWING:
        expanded = steps.put("expanded_seed", hashlib.shake_256(seed).digest(96))
        mlkem, curve_seed = MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), expanded[64:]
    curve = X25519PrivateKey.from_private_bytes(curve_seed).public_key().public_bytes_raw()
    mine = X25519PrivateKey.from_private_bytes(steps.put("ephemeral_private", count(0x20, 32)))
    ephemeral = mine.public_key().public_bytes_raw()
    dh = mine.exchange(X25519PublicKey.from_public_bytes(curve))
    if mlkem is None:
        public = steps.put("public_key", curve)
        enc, _ = steps.put("enc", ephemeral), steps.put("dh", dh)
        suite_id = b"KEM" + struct.pack(">H", KEM_IDS[suite])
        prk = steps.put("eae_prk", labeled_extract(suite_id, b"", b"eae_prk", dh))
        secret = labeled_expand(suite_id, prk, b"shared_secret", enc + public, 32)
        return public, enc, steps.put("shared_secret", secret)
    key = mlkem.public_key().public_bytes_raw()
    public = steps.put("public_key", key + curve)
    kem_secret, ciphertext = encapsulate(key, steps.put("ml_kem_m", count(0xE0, 32)))
    enc = steps.put("enc", ciphertext + ephemeral)
    steps.put("ml_kem_secret", kem_secret)
    steps.put("dh", dh)
    combined = kem_secret + dh + ephemeral + curve + XWING_LABEL
    return public, enc, steps.put("shared_secret", hashlib.sha3_256(combined).digest())


def key_blob(steps: Steps, suite: int, kid: bytes, sid: bytes, secret: bytes) -> bytes:
    """Return the key blob: HPKE of the session secret, base mode, single shot."""
    enc, shared = bytes.fromhex(steps["enc"]), bytes.fromhex(steps["shared_secret"])
    info = steps.put("hpke_info", label("session") + lp(kid) + lp(sid))
    suite_id = b"HPKE" + struct.pack(">HHH", KEM_IDS[suite], HKDF_SHA256, AES_256_GCM)
    psk_id_hash = labeled_extract(suite_id, b"", b"psk_id_hash", b"")
    info_hash = labeled_extract(suite_id, b"", b"info_hash", info)
    context = steps.put("key_schedule_context", b"\0" + psk_id_hash + info_hash)
    prk = steps.put("hpke_secret", labeled_extract(suite_id, shared, b"secret", b""))
    key = steps.put("hpke_key", labeled_expand(suite_id, prk, b"key", context, 32))
    nonce = steps.put("hpke_base_nonce", labeled_expand(suite_id, prk, b"base_nonce", context, 12))
    return steps.put("key_blob", enc + AESGCM(key).encrypt(nonce, secret, b""))


def start(kind: int, suite: int, header: dict[str, Any], blob: bytes, body_length: int) -> bytes:
    """Return prefix and header."""
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    return (
        struct.pack(">4sBBHHHI", b"SFL1", kind, 0, suite, len(text), len(blob), body_length) + text
    )


def sealed_length(length: int) -> int:
    """Return the length of a body."""
    return 56 + length + 16 * (length // CHUNK + 1)


def worked(suite: int) -> Steps:
    """Return every value of one exchange in a suite."""
    steps = Steps()
    seed = steps.put("key_seed", count(0x00, 32))
    public, _, _ = kem(steps, suite, seed)
    hashed = hashlib.sha256(label("kid") + struct.pack(">H", suite) + public)
    kid = steps.put("kid", hashed.digest()).hex()
    secret = steps.put("session_secret", count(0x40, 32))
    sid, rid = steps.put("sid", count(0x60, 16)), steps.put("rid", count(0x70, 16))
    blob = key_blob(steps, suite, kid.encode(), sid.hex().encode(), secret)

    padded_request = _padded(steps, "request")
    header: dict[str, Any] = {
        "deadline_ms": 1_800_000_000_000,
        "kid": kid,
        "model": "tiny",
        "model_digest": MODEL_DIGEST,
        "rid": rid.hex(),
        "sid": sid.hex(),
        "version": "1",
    }
    first = start(1, suite, header, blob, sealed_length(len(padded_request)))
    transcript = _transcript(steps, "request", first, blob)
    key = steps.put("request_K", hkdf(secret, rid, label("request key") + transcript))
    body = _body(steps, "request", key, transcript, padded_request)
    digest = hashlib.sha256(label("request digest") + transcript + body).digest()
    steps.put("request_digest", digest)
    steps.put("request_envelope", first + blob + body)

    padded_reply = _padded(steps, "reply")
    nonce = steps.put("reply_nonce", count(0xA0, 32))
    header = {
        "instance": count(0xE0, 16).hex(),
        "kid": kid,
        "model_digest": MODEL_DIGEST,
        "nonce": nonce.hex(),
        "request_digest": digest.hex(),
        "rid": rid.hex(),
        "simulated": False,
    }
    first = start(2, suite, header, b"", sealed_length(len(padded_reply)))
    transcript = _transcript(steps, "reply", first, b"")
    key = hkdf(secret, rid + nonce, label("reply key") + transcript + digest)
    body = _body(steps, "reply", steps.put("reply_K", key), transcript, padded_reply)
    steps.put("reply_envelope", first + body)
    return steps


def _padded(steps: Steps, what: str) -> bytes:
    text, binary = MESSAGES[what]
    content = steps.put(f"{what}_content", b"\1" + lp(text) + binary)
    return steps.put(f"{what}_padded", padded(content))


def _transcript(steps: Steps, what: str, first: bytes, blob: bytes) -> bytes:
    steps.put(f"{what}_start", first)
    whole = label(f"{what} transcript") + lp(first) + lp(blob)
    return steps.put(f"{what}_T", hashlib.sha256(whole).digest())


def _body(steps: Steps, what: str, key: bytes, context: bytes, message: bytes) -> bytes:
    salt = count(0x80 if what == "request" else 0xC0, 24)
    for name, value in cobblestone(key, salt, context, message).items():
        steps.put(f"{what}_{name}", value)
    return bytes.fromhex(steps[f"{what}_body"])
