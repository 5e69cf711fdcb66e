"""Costs of sealing: CPU time of single operations in this process, beside raw AES-256-GCM.

Each operation runs in blocks; a result is the median of the blocks' CPU time per operation, `best`
the quickest block's. Blocks of all operations are interleaved, so a busy neighbour meets them all.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench.cluster import ROOT, write_results
from sealflow.attest.intel.verify import verify_intel_quote
from sealflow.owner import ModelRef
from sealflow.seal.content import ContentKind, content_parts
from sealflow.seal.exchange import IncomingCall, OutgoingCall, Session, SessionSecrets, open_request
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.wire.envelope import Envelope
from sealflow.wire.ids import RequestId

if TYPE_CHECKING:
    from collections.abc import Callable

REQUEST_BYTES = 100_000
REPLY_BYTES = 1000
MAX_BODY_BYTES = 2**20
SAMPLES = ROOT / "tests/data/attestation"
MODEL = ModelRef(name="m", version="1")
DIGEST = "0" * 64
INSTANCE = RequestId("0" * 32)


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation to measure: `runs` calls of `run` in a block.

    `prepare` returns the arguments of one call; its time is not measured.
    """

    name: str
    runs: int
    prepare: Callable[[], tuple[object, ...]]
    run: Callable[..., object]

    def block_us(self) -> float:
        """Run one block and return the CPU time of one call in microseconds."""
        given = [self.prepare() for _ in range(self.runs)]
        before = time.process_time_ns()
        for each in given:
            self.run(*each)
        return (time.process_time_ns() - before) / 1000 / self.runs


class Exchange:
    """A session between a client and a worker, with a request of 100 KB and a reply of 1 KB."""

    def __init__(self) -> None:
        self.body = os.urandom(REQUEST_BYTES)
        self.parts = content_parts(ContentKind.INFER, b"{}", [self.body])
        self.reply = content_parts(ContentKind.INFER, b"{}", [os.urandom(REPLY_BYTES)])
        self.key = OpeningKey.generate(Suite.XWING)
        self.session = Session.start(self.key.public_key)
        self.secrets = SessionSecrets(16)

    def seal(self) -> OutgoingCall:
        """Seal the request, as a client does."""
        return self.session.seal_request(MODEL, DIGEST, self.parts, deadline_ms=1)

    def open(self, call: OutgoingCall) -> IncomingCall:
        """Parse the envelope and open the request, as a worker does."""
        envelope = Envelope.from_bytes(call.envelope, max_body_bytes=MAX_BODY_BYTES)
        return open_request(envelope, self.key, self.secrets)

    def answer(self, call: IncomingCall) -> bytes:
        """Seal the reply, as a worker does."""
        return call.seal_reply(self.reply, model_digest=DIGEST, instance=INSTANCE)

    def read(self, call: OutgoingCall, reply: bytes) -> object:
        """Parse the envelope and open the reply, as a client does."""
        return call.open_reply(Envelope.from_bytes(reply, max_body_bytes=MAX_BODY_BYTES))

    def operations(self) -> list[Operation]:
        """Return the four operations of one exchange, in order."""

        def answered() -> tuple[object, ...]:
            call = self.seal()
            return call, self.answer(self.open(call))

        return [
            Operation("client: seal request of 100 KB", 50, tuple, self.seal),
            Operation("worker: open request of 100 KB", 50, lambda: (self.seal(),), self.open),
            Operation(
                "worker: seal reply of 1 KB", 50, lambda: (self.open(self.seal()),), self.answer
            ),
            Operation("client: open reply of 1 KB", 50, answered, self.read),
        ]


def raw_operations() -> list[Operation]:
    """Return operations that any design needs for 100 KB."""
    body, nonce = os.urandom(REQUEST_BYTES), os.urandom(12)
    cipher = AESGCM(os.urandom(32))
    ciphertext = cipher.encrypt(nonce, body, None)
    encrypt, decrypt = (
        partial(cipher.encrypt, nonce, body),
        partial(cipher.decrypt, nonce, ciphertext),
    )
    return [
        Operation("AES-256-GCM encrypt 100 KB", 50, tuple, partial(encrypt, None)),
        Operation("AES-256-GCM decrypt 100 KB", 50, tuple, partial(decrypt, None)),
        Operation("SHA-256 of 100 KB", 50, tuple, partial(hashlib.sha256, body)),
    ]


def session_operations(suite: Suite) -> list[Operation]:
    """Return the operations of the first request of a session."""
    key = OpeningKey.generate(suite)

    def begun() -> tuple[object, ...]:
        session = Session.start(key.public_key)
        return key, session.session_id, session.key_blob

    start, open_ = partial(Session.start, key.public_key), SessionSecrets(1).open_or_recall
    return [
        Operation(f"client: start session, {suite.name}", 20, tuple, start),
        Operation(f"worker: open session, {suite.name}", 20, begun, open_),
    ]


def quote_operation(name: str) -> Operation:
    """Return the verification of a quote recorded on hardware, with its collateral."""
    entry = json.loads((SAMPLES / "index.json").read_text())["quotes"][name]
    quote, collateral = ((SAMPLES / each).read_bytes() for each in (name, entry["collateral"]))
    verify = partial(verify_intel_quote, quote, collateral, None, entry["verify_at"])
    return Operation(f"verify {name}", 5, tuple, verify)


def operations() -> list[Operation]:
    """Return all operations to measure."""
    return [
        *raw_operations(),
        *Exchange().operations(),
        *session_operations(Suite.XWING),
        *session_operations(Suite.X25519),
        quote_operation("sgx-v3-swhardening.quote"),
        quote_operation("tdx-v4-uptodate.quote"),
    ]


def measure(blocks: int) -> dict[str, dict[str, float]]:
    """Return CPU times in microseconds by operation, and the sums for client and worker."""
    measured: dict[str, list[float]] = {}
    every = operations()
    for _ in range(blocks):
        for operation in every:
            measured.setdefault(operation.name, []).append(operation.block_us())
    figures = {
        name: {"median_us": round(statistics.median(values), 1), "best_us": round(min(values), 1)}
        for name, values in measured.items()
    }
    for side in ("client", "worker"):
        mine = [each for name, each in figures.items() if name.startswith(side) and "KB" in name]
        figures[f"{side}: request of 100 KB and reply of 1 KB"] = {
            figure: round(sum(each[figure] for each in mine), 1) for figure in mine[0]
        }
    return figures


def main() -> None:
    """Measure, write the results and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=40)
    figures = measure(parser.parse_args().blocks)
    write_results("sealing", {"operations": figures})
    for name, each in figures.items():
        print(f"{name:45}  median {each['median_us']:8.1f} us   best {each['best_us']:8.1f} us")


if __name__ == "__main__":
    main()
