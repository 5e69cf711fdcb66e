"""Proofs that a gateway makes of the digests in the broker."""

from __future__ import annotations

import asyncio
import hashlib
import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
import valkey

from sealflow.documents.log_tree import LogTree
from sealflow.host.broker.gateway_records import GatewayRecords
from sealflow.host.gateway.routes.log_proofs import LogProofs
from sealflow.owner.trust.log_proof import LogProof, verify_consistency
from sealflow.streams.keys import Keyspace
from tests.support.trusted.log_proofs import consistency_path

if TYPE_CHECKING:
    from tests.support.queue.server import QueueServer

KEYS = Keyspace(deployment="test")
FIRST = 3


def digests(count: int) -> list[bytes]:
    """Digests of log entries."""
    return [hashlib.sha256(number.to_bytes(8)).digest() for number in range(count)]


def trees(entries: list[bytes]) -> list[LogTree]:
    """The tree after each number of entries, from none on."""
    found = [LogTree(first=FIRST)]
    for each in entries:
        found.append(found[-1].append(each.hex()))
    return found


def published(tree: LogTree, history: str = "ab", **changes: Any) -> bytes:
    """A document whose directory has a tree, of which the gateway looks at nothing else."""
    payload = {
        "history": history,
        "log_number": FIRST + tree.size - 1,
        "log_tree": tree.to_json(),
        **changes,
    }
    text = b64encode(json.dumps(payload).encode()).decode()
    return json.dumps({"directory": {"payload": text}, "more": 1}).encode()


def store(queue: QueueServer, entries: list[bytes]) -> None:
    """Have the broker hold digests, after those before the tree."""
    with valkey.Valkey.from_url(queue.url) as client:
        client.set(KEYS.log_tree, bytes(32 * FIRST) + b"".join(entries))


@pytest.mark.parametrize("count", [2, 255, 256, 257, 258, 511, 512, 513, 1025, 17_000])
def test_proofs(queue: QueueServer, count: int) -> None:
    """From every kind of size to the directory's own entry, they are those of the RFC."""
    entries = digests(count)
    store(queue, entries)
    all_trees = trees(entries)
    document = published(all_trees[count - 1])
    edges = {1, 2, 3, 4, 7, 8, 255, 256, 257, 258, 511, 512, 513, 16_384, count - 2, count - 1}

    async def ask() -> None:
        records = GatewayRecords(queue.url, "test")
        proofs = LogProofs(records)
        for size in sorted(each for each in edges if 0 < each < count):
            answer = await proofs.attach(document, size)
            proof = LogProof.from_document(answer)
            assert proof is not None
            assert proof.size == size
            if count < 2000:
                assert list(proof.hashes) == consistency_path(entries, size)
            verify_consistency(all_trees[size].head, all_trees[count].head, proof.hashes)
            assert json.loads(answer)["more"] == 1
        for size in (0, count, count + 1, 10**14):
            assert await proofs.attach(document, size) == document
        await records.close()

    asyncio.run(ask())


def test_growing(queue: QueueServer) -> None:
    """One gateway goes on with the next directories, and with another history."""
    entries = digests(700)
    all_trees = trees(entries)

    async def ask() -> None:
        records = GatewayRecords(queue.url, "test")
        proofs = LogProofs(records)
        for count in (5, 6, 257, 300, 513, 699, 700):
            store(queue, entries[:count])
            answer = await proofs.attach(published(all_trees[count - 1]), 4)
            proof = LogProof.from_document(answer)
            assert proof is not None
            verify_consistency(all_trees[4].head, all_trees[count].head, proof.hashes)
        others = [each[::-1] for each in entries]
        other_trees = trees(others)
        store(queue, others)
        answer = await proofs.attach(published(other_trees[699], history="cd"), 600)
        proof = LogProof.from_document(answer)
        assert proof is not None
        verify_consistency(other_trees[600].head, other_trees[700].head, proof.hashes)
        await records.close()

    asyncio.run(ask())


def test_no_proof(queue: QueueServer) -> None:
    """A document goes out as it is where the digests are not those of its directory."""
    entries = digests(600)
    all_trees = trees(entries)
    good = all_trees[599]

    async def ask() -> None:
        records = GatewayRecords(queue.url, "test")
        for document, stored in (
            (published(good), [*entries[:500], bytes(32), *entries[501:]]),
            (published(good), entries[:500]),
            (published(good), entries[:599]),
            (published(good), []),
            (published(good, log_tree={"first": 0}), entries),
            (published(good, log_tree={"first": FIRST, "nodes": ["x"]}), entries),
            (published(good, log_tree=None), entries),
            (published(good, log_number="7"), entries),
            (b"[]", entries),
            (b"", entries),
        ):
            store(queue, stored)
            assert await LogProofs(records).attach(document, 300) == document
        await records.close()

    asyncio.run(ask())
