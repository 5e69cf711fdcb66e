"""Core: cipher suites, and the HPKE key pairs of each suite. Spec: exchange.md, sections 1 and 2.

X-Wing (draft-connolly-cfrg-xwing-kem): SHAKE-256 expands the 32-byte private key (the seed) to
an ML-KEM-768 seed (64 bytes) and an X25519 private key (32 bytes). The public key is the ML-KEM-768
public key followed by the X25519 public key.

The suite is a property of the key and is never negotiated. The two trust domains have different
suite numbers, labels and key ids, so a message of one domain does not open in the other.
"""

from __future__ import annotations

import enum
import hashlib
import os
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519

from sealflow.attest.suites import SuiteName
from sealflow.errors import MalformedError, NewerFormatError, OpenError
from sealflow.wire.domain import TrustDomain
from sealflow.wire.ids import KeyId

if TYPE_CHECKING:
    from sealflow.wire.fields import Fields

SEED_BYTES: Final = 32
_MLKEM_SEED_BYTES = 64
_MLKEM_PUBLIC_BYTES = 1184
_X25519_BYTES = 32
_MAX_NUMBER: Final = 0xFFFF

PrivateKey = x25519.X25519PrivateKey | hpke.MLKEM768X25519PrivateKey
PublicKey = x25519.X25519PublicKey | hpke.MLKEM768X25519PublicKey


def public_key_bytes(suite: Suite) -> int:
    """Return the length in bytes of a public key of a suite."""
    return _X25519_BYTES + (_MLKEM_PUBLIC_BYTES if suite.post_quantum else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealingKey:
    """A public HPKE key.

    Raises: MalformedError if `public` is not a public key of the suite.
    """

    suite: Suite
    public: bytes
    key_id: KeyId = field(init=False, compare=False)
    """The key's id, a hash of trust domain, suite and public key."""
    _key: PublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Parse the key and compute its id once."""
        object.__setattr__(self, "_key", _load_public(self.suite, self.public))
        object.__setattr__(self, "key_id", key_id(self.suite, self.public))

    def seal(self, plaintext: bytes, info: bytes) -> bytes:
        """Seal a short message to the key (HPKE base mode, single shot; RFC 9180, section 6.1).

        Returns: `enc` followed by the ciphertext.
        Raises: MalformedError if the X25519 part is a point of low order, because then the shared
        secret does not depend on the private key.
        """
        try:
            return self.suite.hpke.encrypt(plaintext, self._key, info)
        except ValueError as error:
            msg = "public key: a point of low order"
            raise MalformedError(msg) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningKey:
    """A private HPKE key; its repr does not show the seed.

    `seed`: `SEED_BYTES` bytes.

    Raises: MalformedError if the seed has another length.
    """

    suite: Suite
    seed: bytes = field(repr=False)
    public_key: SealingKey = field(init=False)
    _key: PrivateKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Expand the seed to the key pair once."""
        if len(self.seed) != SEED_BYTES:
            msg = f"private key: the seed is not {SEED_BYTES} bytes long"
            raise MalformedError(msg)
        key, public = _expand(self.suite, self.seed)
        object.__setattr__(self, "_key", key)
        object.__setattr__(self, "public_key", SealingKey(suite=self.suite, public=public))

    @classmethod
    def generate(cls, suite: Suite) -> OpeningKey:
        """Return a new key from the operating system's random source."""
        return cls(suite=suite, seed=os.urandom(SEED_BYTES))

    def open(self, sealed: bytes, info: bytes) -> bytes:
        """Open a message that `SealingKey.seal` sealed with the same `info`.

        Raises: OpenError, for any failure.
        """
        try:
            return self.suite.hpke.decrypt(sealed, self._key, info)
        except (InvalidTag, ValueError):
            raise OpenError from None


def key_id(suite: Suite, public: bytes) -> KeyId:
    """Return the id of a public key: a hash that covers its suite. Spec: exchange.md, 2.2."""
    label = suite.domain.label("kid")
    digest = hashlib.sha256(label + struct.pack(">H", suite) + public).hexdigest()
    return KeyId(f"sim-{digest}" if suite.domain is TrustDomain.SIMULATED else digest)


def _expand(suite: Suite, seed: bytes) -> tuple[PrivateKey, bytes]:
    if not suite.post_quantum:
        plain = x25519.X25519PrivateKey.from_private_bytes(seed)
        return plain, plain.public_key().public_bytes_raw()
    expanded = hashlib.shake_256(seed).digest(_MLKEM_SEED_BYTES + _X25519_BYTES)
    kem = mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:_MLKEM_SEED_BYTES])
    curve = x25519.X25519PrivateKey.from_private_bytes(expanded[_MLKEM_SEED_BYTES:])
    public = kem.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
    return hpke.MLKEM768X25519PrivateKey(kem, curve), public


def _load_public(suite: Suite, public: bytes) -> PublicKey:
    if len(public) != public_key_bytes(suite):
        msg = "public key: wrong length for its suite"
        raise MalformedError(msg)
    try:
        curve = x25519.X25519PublicKey.from_public_bytes(public[-_X25519_BYTES:])
        if not suite.post_quantum:
            return curve
        kem = mlkem.MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_PUBLIC_BYTES])
        return hpke.MLKEM768X25519PublicKey(kem, curve)
    except (ValueError, UnsupportedAlgorithm) as error:
        msg = "public key: not a key of its suite"
        raise MalformedError(msg) from error


class Suite(enum.IntEnum):
    """A cipher suite: its trust domain and its KEM. Spec: exchange.md, section 1.

    All suites use HKDF-SHA256, AES-256-GCM and Cobblestone-256.
    """

    XWING = 0x0001
    X25519 = 0x0002
    SIMULATED_XWING = 0xF001
    SIMULATED_X25519 = 0xF002

    @property
    def domain(self) -> TrustDomain:
        """The trust domain that the suite belongs to."""
        return TrustDomain.SIMULATED if self & 0xF000 else TrustDomain.HARDWARE

    @property
    def suite_name(self) -> SuiteName:
        """The suite's name in settings and policies, which is the same in both trust domains."""
        xwing = self in (Suite.XWING, Suite.SIMULATED_XWING)
        return SuiteName.X_WING if xwing else SuiteName.X25519

    @property
    def post_quantum(self) -> bool:
        """Whether a later quantum computer cannot open recorded messages."""
        return self.suite_name is SuiteName.X_WING

    @property
    def hpke(self) -> hpke.Suite:
        """The RFC 9180 suite that seals the session secret."""
        return _XWING if self.post_quantum else _X25519

    @classmethod
    def for_domain(cls, domain: TrustDomain, suite_name: SuiteName = SuiteName.X_WING) -> Suite:
        """Return the suite of a trust domain that settings and policies call `suite_name`."""
        return next(each for each in cls if (each.domain, each.suite_name) == (domain, suite_name))


def parse_suite(number: object) -> Suite:
    """Return the suite with a number.

    Raises: MalformedError if no suite has it.
    """
    try:
        return Suite(number)  # type: ignore[arg-type]  # a value from JSON or an envelope
    except ValueError as error:
        msg = "unknown cipher suite number"
        raise MalformedError(msg) from error


def read_suite(fields: Fields) -> Suite:
    """Return the suite in the field `suite` of an object of an open format.

    Raises: MalformedError; NewerFormatError for a number that this release does not know.
    """
    number = fields.integer("suite", most=_MAX_NUMBER)
    try:
        return Suite(number)
    except ValueError as error:
        raise NewerFormatError("critical", f"suite {number} is not known") from error


_XWING = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_X25519 = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
