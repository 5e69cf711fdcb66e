"""Sealing of any content, with nothing drawn at random: written from the specification.

Source: exchange.md; RFC 9180, sections 4 to 6 (base mode); C2SP chunked-encryption.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from sealflow.wire.domain import TrustDomain, length_prefixed
from sealflow.wire.envelope import Kind, ReplyHeader, RequestHeader, encode_start

if TYPE_CHECKING:
    from sealflow.seal.keys import OpeningKey

_CHUNK_BYTES = 16 * 1024
_KEM, _SUITE = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x02"
_AEAD = b"AEAD_AES_256_GCM"


def drawn(name: str, size: int) -> bytes:
    """Bytes by name, in place of random ones."""
    return hashlib.shake_256(b"drawn " + name.encode()).digest(size)


def seal_chunks(key: bytes, context: bytes, message: bytes, salt: bytes) -> bytes:
    """Cobblestone-256 with a salt of 24 bytes."""
    info = b"c2sp.org/chunked-encryption@v1+" + _AEAD + b"\0" + salt + context
    derived = HKDFExpand(algorithm=SHA512(), length=32 + 12 + 32, info=info).derive(key)
    base = int.from_bytes(derived[32:44])
    cipher = AESGCM(derived[:32])
    sealed = [salt, derived[44:]]
    for number in range(len(message) // _CHUNK_BYTES + 1):
        piece = message[number * _CHUNK_BYTES :][:_CHUNK_BYTES]
        sealed.append(cipher.encrypt((base ^ number).to_bytes(12), piece, None))
    return b"".join(sealed)


def seal_to(key: OpeningKey, info: bytes, plaintext: bytes, name: str) -> bytes:
    """HPKE to an X25519 key, with an ephemeral key by name: `enc` and the ciphertext."""
    return seal_to_public(key.public_key.public, info, plaintext, name)


def seal_to_public(public: bytes, info: bytes, plaintext: bytes, name: str) -> bytes:
    """HPKE to an X25519 public key, with an ephemeral key by name."""
    ephemeral = X25519PrivateKey.from_private_bytes(drawn(f"ephemeral {name}", 32))
    enc = ephemeral.public_key().public_bytes_raw()
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(public))
    return enc + _seal_base(shared, enc + public, info, plaintext)


def _seal_base(shared: bytes, kem_context: bytes, info: bytes, plaintext: bytes) -> bytes:
    prk = _extract(b"", _KEM, b"eae_prk", shared)
    secret = _expand(prk, _KEM, b"shared_secret", kem_context, 32)
    hashes = _extract(b"", _SUITE, b"psk_id_hash", b"") + _extract(b"", _SUITE, b"info_hash", info)
    schedule = b"\0" + hashes
    root = _extract(secret, _SUITE, b"secret", b"")
    key = _expand(root, _SUITE, b"key", schedule, 32)
    nonce = _expand(root, _SUITE, b"base_nonce", schedule, 12)
    return AESGCM(key).encrypt(nonce, plaintext, b"")


def _extract(salt: bytes, suite: bytes, label: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")


def _expand(prk: bytes, suite: bytes, label: bytes, info: bytes, length: int) -> bytes:
    labelled = length.to_bytes(2) + b"HPKE-v1" + suite + label + info
    return HKDFExpand(algorithm=SHA256(), length=length, info=labelled).derive(prk)


def pad(content: bytes) -> bytes:
    """Padmé, by the formula of the text."""
    length = 4 + len(content)
    bits = length.bit_length() - 1
    step = 1 << bits - bits.bit_length()
    return (len(content).to_bytes(4) + content).ljust(-(-length // step) * step, b"\0")


def content(kind: int, text: bytes, binary: bytes = b"") -> bytes:
    """Kind, length, JSON and binary part."""
    return bytes([kind]) + len(text).to_bytes(4) + text + binary


@dataclass(frozen=True, kw_only=True)
class ForgedSession:
    """A session of an X25519 key; all that is drawn follows from its name."""

    key: OpeningKey
    name: str
    size: int = 32

    @property
    def domain(self) -> TrustDomain:
        """The key's trust domain."""
        return self.key.suite.domain

    @property
    def secret(self) -> bytes:
        """The session's secret."""
        return drawn(f"secret {self.name}", 64)[: self.size]

    @property
    def session_id(self) -> str:
        """The session's id."""
        return drawn(f"sid {self.name}", 16).hex()

    def blob(self, *, kid: str = "", sid: str = "", secret: bytes | None = None) -> bytes:
        """The key blob, right unless changed."""
        names = (kid or self.key.public_key.key_id, sid or self.session_id)
        info = self.domain.label("session") + length_prefixed(*(each.encode() for each in names))
        return seal_to(self.key, info, self.secret if secret is None else secret, self.name)

    def request(
        self, header: RequestHeader, padded: bytes, *, suite: int = 0, blob: bytes | None = None
    ) -> ForgedRequest:
        """Seal a padded content under a header."""
        key_blob = self.blob() if blob is None else blob
        number = suite or int(self.key.suite)
        length = len(seal_chunks(bytes(32), b"", padded, bytes(24)))
        start = encode_start(Kind.REQUEST, number, header.to_bytes(), key_blob, length)
        label = self.domain.label("request transcript")
        transcript = hashlib.sha256(label + length_prefixed(start, key_blob)).digest()
        info = self.domain.label("request key") + transcript
        key = _derive(self.secret, bytes.fromhex(header.request_id), info)
        body = seal_chunks(key, transcript, padded, drawn(f"salt {header.request_id}", 24))
        digest = hashlib.sha256(self.domain.label("request digest") + transcript + body).digest()
        return ForgedRequest(
            session=self, envelope=start + key_blob + body, header=header, digest=digest
        )


@dataclass(frozen=True, kw_only=True)
class ForgedRequest:
    """A sealed request, and what its replies are bound to."""

    session: ForgedSession
    envelope: bytes
    header: RequestHeader
    digest: bytes

    def reply(
        self,
        padded: bytes,
        *,
        suite: int = 0,
        digest: bytes | None = None,
        secret: bytes | None = None,
        **fields: Any,
    ) -> bytes:
        """Seal a reply whose header may lie; it opens by what the header says."""
        domain = self.session.domain
        values: dict[str, Any] = {
            "request_id": self.header.request_id,
            "request_digest": self.digest.hex(),
            "key_id": self.header.key_id,
            "model_digest": self.header.model_digest,
            "instance": "1e" * 16,
            "nonce": drawn(f"nonce {self.header.request_id}", 32).hex(),
            "simulated": domain is TrustDomain.SIMULATED,
            **fields,
        }
        header = ReplyHeader(**values)
        number = suite or int(self.session.key.suite)
        length = len(seal_chunks(bytes(32), b"", padded, bytes(24)))
        start = encode_start(Kind.REPLY, number, header.to_bytes(), b"", length)
        label = domain.label("reply transcript")
        transcript = hashlib.sha256(label + length_prefixed(start, b"")).digest()
        salt = bytes.fromhex(header.request_id) + bytes.fromhex(header.nonce)
        info = domain.label("reply key") + transcript + (digest or self.digest)
        key = _derive(secret or self.session.secret, salt, info)
        return start + seal_chunks(key, transcript, padded, drawn(f"reply {header.nonce}", 24))


def _derive(secret: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(secret)
