"""Core, pure, stdlib only: whether hardware guards the keys, or a simulation of it."""

from __future__ import annotations

import enum
import functools


class World(enum.Enum):
    """The two worlds; the value starts every label: nothing made in one counts in the other."""

    HARDWARE = b"sealflow/1"
    SIMULATED = b"sealflow-sim/1"

    @functools.cache
    def label(self, purpose: str) -> bytes:
        """The domain separation label for one purpose."""
        prefix: bytes = self.value
        return prefix + b" " + purpose.encode() + b"\0"
