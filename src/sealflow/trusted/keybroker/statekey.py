"""Key broker, pure: the key of the state: how one machine keeps it, how another is given it.

`SFW1` ‖ machine id ‖ salt ‖ ciphertext under a key that only this code on this machine can have.
Spec: docs/spec/keybroker.md, section 5.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sealflow.errors import MalformedError, OpenError
from sealflow.seal.chunked import KEY_BYTES, open_stream, seal_stream
from sealflow.wire.fields import decode_base64
from sealflow.wire.ids import parse_digest
from sealflow.wire.strict_json import canonical, is_integer, parse_object, require_keys

if TYPE_CHECKING:
    from sealflow.wire.domain import World

MAGIC: Final = b"SFW1"
MACHINE_BYTES: Final = 16
_SALT_BYTES: Final = 32
_HEAD_BYTES: Final = len(MAGIC) + MACHINE_BYTES + _SALT_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class StateKey:
    """What opens the state of one history, and the least number that the state may have."""

    key: bytes = field(repr=False)
    history: str
    number: int

    def wrap(self, platform_key: bytes, world: World) -> bytes:
        """Seal it for this machine."""
        salt = os.urandom(_SALT_BYTES)
        head = MAGIC + machine_id(platform_key, world) + salt
        return head + seal_stream(*_key(platform_key, head, world), [self.encode()])

    @classmethod
    def unwrap(cls, wrapped: bytes, platform_key: bytes, world: World) -> Self:
        """Open what `wrap` made on this machine.

        Raises: OpenError, for whatever reason.
        """
        head = wrapped[:_HEAD_BYTES]
        if len(head) < _HEAD_BYTES or not head.startswith(MAGIC):
            raise OpenError
        text = open_stream(*_key(platform_key, head, world), memoryview(wrapped)[_HEAD_BYTES:])
        try:
            return cls.parse(text)
        except MalformedError:
            raise OpenError from None

    def encode(self) -> bytes:
        """Write it, to be sealed."""
        return canonical(
            {
                "key": b64encode(self.key).decode(),
                "history": self.history,
                "number": self.number,
            }
        )

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read what `encode` wrote.

        Raises: MalformedError.
        """
        value = parse_object(text, "state key")
        require_keys(value, ("key", "history", "number"), "state key")
        key, number = decode_base64(value["key"], KEY_BYTES, "state key"), value["number"]
        if len(key) != KEY_BYTES or not is_integer(number) or number < 0:
            raise MalformedError("state key: no key, or no number")
        return cls(key=key, history=parse_digest(value["history"]), number=number)


def new_state_key() -> bytes:
    """Draw the key of a new history."""
    return os.urandom(KEY_BYTES)


def machine_id(platform_key: bytes, world: World) -> bytes:
    """Name a machine for its host, without a word about its key; 16 bytes."""
    info = world.label("machine id")
    return HKDF(algorithm=SHA256(), length=MACHINE_BYTES, salt=None, info=info).derive(platform_key)


def _key(platform_key: bytes, head: bytes, world: World) -> tuple[bytes, bytes]:
    context = hashlib.sha256(world.label("wrapped state key") + head).digest()
    salt = head[-_SALT_BYTES:]
    derived = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=context).derive(
        platform_key
    )
    return derived, context
