"""Core, pure, stdlib only: whether hardware guards the keys, or a simulation of it."""

from __future__ import annotations

import enum


class World(enum.Enum):
    """The two worlds; the value starts every label: nothing made in one counts in the other."""

    HARDWARE = b"sealflow/1"
    SIMULATED = b"sealflow-sim/1"

    def label(self, purpose: str) -> bytes:
        """The domain separation label for one purpose."""
        return self.value + b" " + purpose.encode() + b"\0"
