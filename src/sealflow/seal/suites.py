"""Core, pure: the cipher suites of the two worlds. Spec: exchange.md, section 1.

A suite is a property of a key, never negotiated. The simulated world has other labels, numbers and
key prefixes, so nothing made in one world means anything in the other.
"""

from __future__ import annotations

import enum
from typing import assert_never

from cryptography.hazmat.primitives import hpke

from sealflow.errors import MalformedError
from sealflow.wire.domain import World


class Suite(enum.IntEnum):
    """KEM for the session secret; HKDF-SHA256, AES-256-GCM and Cobblestone-256 are fixed."""

    XWING = 0x0001
    X25519 = 0x0002
    SIMULATED_XWING = 0xF001
    SIMULATED_X25519 = 0xF002

    @property
    def world(self) -> World:
        """The world that the suite belongs to."""
        return World.SIMULATED if self & 0xF000 else World.HARDWARE

    @property
    def post_quantum(self) -> bool:
        """Whether recorded traffic stays sealed against a quantum computer."""
        return self in (Suite.XWING, Suite.SIMULATED_XWING)

    @property
    def hpke(self) -> hpke.Suite:
        """The RFC 9180 suite that seals the session secret."""
        return _XWING if self.post_quantum else _X25519

    @classmethod
    def of(cls, world: World, *, post_quantum: bool = True) -> Suite:
        """The suite of a world."""
        match world:
            case World.HARDWARE:
                return cls.XWING if post_quantum else cls.X25519
            case World.SIMULATED:
                return cls.SIMULATED_XWING if post_quantum else cls.SIMULATED_X25519
            case _:
                assert_never(world)


def parse_suite(number: object) -> Suite:
    """Accept the number of a known suite.

    Raises: MalformedError.
    """
    try:
        return Suite(number)  # type: ignore[arg-type]  # any object may be asked for
    except ValueError as error:
        msg = "unknown cipher suite"
        raise MalformedError(msg) from error


_XWING = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_X25519 = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
