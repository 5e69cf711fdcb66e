"""`python -m tests.fuzz.differential [--seconds S] [--seed N]`: this library against JavaScript.

Both parse the same bytes, changed vectors, and must say the same of them. Each difference is
printed with its bytes in hex; the exit status is 1 if there is one. Needs Node.js.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from tests.fuzz import corpus
from tests.fuzz.mutation import JsonMutator
from tests.fuzz.verdicts import REFUSED, TARGETS, verdict
from tools.setup import node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

DRIVER: Final = Path(__file__).with_suffix(".mjs")
BATCH: Final = 100
MAX_DIFFERENCES: Final = 20
_PREFIX: Final = 16
"""The bytes of an envelope before its header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Bytes of which the two say different things."""

    target: str
    data: bytes
    python: str
    javascript: str

    def __str__(self) -> str:
        """Return one line for people."""
        return (
            f"{self.target}: Python {self.python}, JavaScript {self.javascript}: {self.data.hex()}"
        )


class JavaScript:
    """The client's parsers in a process of Node.js. Use it in a `with` block."""

    def __init__(self) -> None:
        """Start the process."""
        self._process = subprocess.Popen(
            [node.find() or "node", str(DRIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def verdicts(self, asked: Iterable[tuple[str, bytes]]) -> list[str]:
        """Return what it says of each target and bytes."""
        lines = [f"{target} {data.hex()}\n".encode() for target, data in asked]
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"".join(lines))
        self._process.stdin.flush()
        return [self._process.stdout.readline().decode().strip() for _ in lines]

    def __enter__(self) -> Self:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the process."""
        self._process.communicate(timeout=30)


def inputs(chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """Yield all vectors, then changed ones without end, each with its target.

    Most vectors have one fault already, so most changes begin with one that has none.
    """
    seeds = _seeds()
    for target, found in seeds.items():
        yield from ((target, seed) for seed in found)
    good = {
        target: [seed for seed in found if verdict(target, seed) != REFUSED]
        for target, found in seeds.items()
    }
    json = JsonMutator(chance)
    while True:
        target = chance.choice(list(seeds))
        seed = chance.choice((seeds if chance.randrange(5) == 0 else good)[target])
        yield target, _CHANGES[target](seed, json, chance)


def compare(asked: Iterable[tuple[str, bytes]], javascript: JavaScript) -> Iterator[Difference]:
    """Yield the inputs of which the two say different things."""
    pairs = list(asked)
    for (target, data), said in zip(pairs, javascript.verdicts(pairs), strict=True):
        own = verdict(target, data)
        if own != said:
            yield Difference(target=target, data=data, python=own, javascript=said)


def _seeds() -> dict[str, list[bytes]]:
    requests, responses = corpus.messages("request"), corpus.messages("response")
    payloads = corpus.payloads()
    texts = [text for text, _ in (*requests, *responses)]
    return {
        "json": [*payloads, *texts],
        "numbers": texts,
        "envelope": corpus.envelopes(),
        "content": corpus.contents(),
        "request": [_message(*each) for each in requests],
        "response": [_message(*each) for each in responses],
        "directory": payloads,
    }


def _message(text: bytes, binary: bytes) -> bytes:
    """Join the parts of a message; JSON of 64 KiB and more is cut."""
    text = text[: 2**16 - 1]
    return len(text).to_bytes(2) + text + binary


def _change_json(seed: bytes, json: JsonMutator, _: random.Random) -> bytes:
    return json.change(seed)


def _change_bytes(seed: bytes, _: JsonMutator, chance: random.Random) -> bytes:
    data = bytearray(seed)
    for _times in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0 if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                del data[at : at + chance.choice((1, 2, 8))]
            case 2:
                data[at:at] = chance.randbytes(chance.choice((1, 2, 8)))
            case _:
                data[at : at + 1] = chance.choice((b"\0", b"\1", b"\x7f", b"\x80", b"\xff"))
    return bytes(data)


def _change_message(seed: bytes, json: JsonMutator, chance: random.Random) -> bytes:
    """Change the JSON and keep its length right, or change any bytes of the binary part."""
    end = 2 + int.from_bytes(seed[:2])
    text, binary = seed[2:end], seed[end:]
    if binary and not chance.randrange(4):
        return _message(text, _change_bytes(binary, json, chance))
    return _message(json.change(text), binary)


def _change_envelope(seed: bytes, json: JsonMutator, chance: random.Random) -> bytes:
    """Change the header and keep its length right, or change any bytes."""
    if len(seed) < _PREFIX or not chance.randrange(3):
        return _change_bytes(seed, json, chance)
    end = _PREFIX + int.from_bytes(seed[8:10])
    header = json.change(seed[_PREFIX:end])[: 2**16 - 1]
    return seed[:8] + len(header).to_bytes(2) + seed[10:_PREFIX] + header + seed[end:]


_CHANGES: Final[dict[str, Callable[[bytes, JsonMutator, random.Random], bytes]]] = {
    "json": _change_json,
    "numbers": _change_json,
    "envelope": _change_envelope,
    "content": _change_bytes,
    "request": _change_message,
    "response": _change_message,
    "directory": _change_json,
}
assert _CHANGES.keys() == TARGETS.keys()


def main() -> None:
    """Search for so many seconds, print the differences, and exit with 1 if there are any."""
    parser = argparse.ArgumentParser(description="Compare Python's parsers with JavaScript's.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    options = parser.parse_args()
    if note := node.missing():
        sys.exit(note)
    source = inputs(random.Random(options.seed))  # noqa: S311 - must come again the same
    until, tried = time.monotonic() + options.seconds, 0
    found: list[Difference] = []
    with JavaScript() as javascript:
        while time.monotonic() < until and len(found) < MAX_DIFFERENCES:
            batch = [next(source) for _ in range(BATCH)]
            tried += len(batch)
            for difference in compare(batch, javascript):
                found.append(difference)
                print(difference)  # noqa: T201 - a program
    print(f"{tried:,} inputs, {len(found)} differences, seed {options.seed}")  # noqa: T201
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
