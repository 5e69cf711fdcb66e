"""A short run of every target with a fixed seed; `make fuzz` searches for longer, with atheris."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.fuzz.targets import SEEDS

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS = 1500
WORDS = (
    b"\0",
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"[",
    b"{",
    b'"',
    b"null",
    b"1e999",
    b"-1",
    b"\\u0000",
)


def changed(data: bytes, chance: random.Random) -> bytes:
    """Flip, cut, repeat, insert: a few times."""
    piece = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(piece) + 1)
        match chance.randrange(5):
            case 0 if at < len(piece):
                piece[at] ^= 1 << chance.randrange(8)
            case 1:
                del piece[at : at + chance.randint(1, 16)]
            case 2:
                piece[at:at] = piece[at : at + chance.randint(1, 64)]
            case 3:
                piece[at:at] = chance.choice(WORDS)
            case _:
                piece[at : at + 4] = chance.randbytes(4)
    return bytes(piece)


@pytest.mark.parametrize("target", SEEDS, ids=lambda target: target.__name__)
def test_short_run(target: Callable[[bytes], None]) -> None:
    """No changed input ends in anything but a result or an error of ours."""
    chance = random.Random(f"sealflow {target.__name__}")  # noqa: S311 - must come again the same
    own, seeds = SEEDS[target][0], SEEDS[target]
    for seed in seeds:
        target(seed)
    for number in range(RUNS):
        target(changed(own if number % 2 else chance.choice(seeds), chance))
