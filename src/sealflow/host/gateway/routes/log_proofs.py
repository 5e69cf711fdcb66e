"""Host: proofs that the log of the published directory continues what a client saw before.

The gateway makes them of the digests of log entries that the key broker's host stores, and cannot
vouch for them: a client checks each one. Source: RFC 9162, 2.1.4.1. Spec: directory.md, 4.6.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from sealflow.errors import MalformedError, UnavailableError
from sealflow.wire.fields import base64_bytes, json_object
from sealflow.wire.strict_json import parse_object

if TYPE_CHECKING:
    from sealflow.host.broker.gateway_records import GatewayRecords

_TILE: Final = 256
_TILES_AT_ONCE: Final = 64
_HASH_BYTES: Final = 32
_MAX_KEPT: Final = 256
_MAX_PAYLOAD_BYTES: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedTree:
    """The tree of a published directory, which is not verified here.

    `size`: its entries from number `first` on, with the directory's own one. `nodes`: the roots of
    its complete subtrees without that one.
    """

    history: str
    first: int
    size: int
    nodes: tuple[bytes, ...]

    @classmethod
    def from_document(cls, document: bytes) -> Self | None:
        """Return the tree of a published document, or None if it has none."""
        try:
            signed = json_object(parse_object(document, "published document").get("directory"))
            payload = base64_bytes(signed.get("payload"), _MAX_PAYLOAD_BYTES, "payload")
            directory = parse_object(payload, "directory")
            tree, number = json_object(directory.get("log_tree")), directory.get("log_number")
            first, nodes = tree.get("first"), tree.get("nodes")
            if (
                not isinstance(first, int)
                or not isinstance(number, int)
                or not isinstance(nodes, list)
            ):
                return None
            return cls(
                history=str(directory.get("history")),
                first=first,
                size=number + 2 - first,
                nodes=tuple(bytes.fromhex(str(node)) for node in nodes),
            )
        except (MalformedError, ValueError):
            return None


@dataclass(slots=True)
class _Leaves:
    """The nodes of one log that are kept: roots of whole tiles of 256 entries, leaves of others."""

    history: str
    first: int
    tiles: list[bytes] = field(default_factory=list)
    leaves: dict[int, bytes] = field(default_factory=dict)

    def root(self, begin: int, end: int) -> bytes:
        """Return the root over a range that is a subtree.

        Raises: KeyError when a leaf is not known.
        """
        if end - begin == 1:
            return self.leaves[begin]
        if end - begin == _TILE and begin % _TILE == 0 and begin // _TILE < len(self.tiles):
            return self.tiles[begin // _TILE]
        middle = begin + _left_size(end - begin)
        return _node(self.root(begin, middle), self.root(middle, end))

    def nodes(self, size: int) -> tuple[bytes, ...]:
        """Return the roots of the complete subtrees of the first `size` entries."""
        found, begin = [], 0
        for level in range(size.bit_length() - 1, -1, -1):
            if size >> level & 1:
                found.append(self.root(begin, begin + (1 << level)))
                begin += 1 << level
        return tuple(found)

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the proof from the first `old` entries to the first `new` ones, old < new."""
        begin, end, whole, path = 0, new, True, list[bytes]()
        while begin + old != end:
            middle = begin + _left_size(end - begin)
            if begin + old <= middle:
                path.append(self.root(middle, end))
                end = middle
            else:
                path.append(self.root(begin, middle))
                old -= middle - begin
                begin, whole = middle, False
        return [*([] if whole else [self.root(begin, end)]), *reversed(path)]


class LogProofs:
    """Makes proofs for one published directory after the other, in one event loop."""

    def __init__(self, records: GatewayRecords) -> None:
        """Set the records that contain the digests of the log's entries."""
        self._records = records
        self._turn = asyncio.Lock()
        self._document = b""
        self._tree: PublishedTree | None = None
        self._known = _Leaves("", 0)
        self._proofs: dict[int, bytes] = {}

    async def attach(self, document: bytes, size: int) -> bytes:
        """Return the document with the proof from a tree of `size` entries, if there is one."""
        async with self._turn:
            if document != self._document:
                self._document, self._proofs = document, {}
                self._tree = await asyncio.to_thread(PublishedTree.from_document, document)
                if self._tree is not None and not await self._load(self._tree):
                    self._tree = None
            tree = self._tree
            if tree is None or not 0 < size < tree.size:
                return document
            if size not in self._proofs:
                if len(self._proofs) >= _MAX_KEPT:
                    self._proofs.clear()
                self._proofs[size] = await self._prove(size, tree)
            return self._proofs[size] + document[1:] if self._proofs[size] else document

    async def _load(self, tree: PublishedTree) -> bool:
        """Read what is new of a tree; return whether it is that of the directory."""
        known = self._known
        if (known.history, known.first) != (tree.history, tree.first):
            known = self._known = _Leaves(tree.history, tree.first)
        try:
            while len(known.tiles) < tree.size // _TILE:
                begin = len(known.tiles) * _TILE
                count = min(tree.size // _TILE * _TILE - begin, _TILES_AT_ONCE * _TILE)
                digests = await self._records.log_digests(tree.first + begin, count)
                known.tiles += await asyncio.to_thread(_tile_roots, digests)
                if len(digests) < count * _HASH_BYTES:
                    return False
            known.leaves.clear()
            await self._read_tile(tree.size // _TILE)
            # The last entry is the directory's own, which is not below the nodes that it names.
            await self._read_tile((tree.size - 1) // _TILE)
            return await asyncio.to_thread(known.nodes, tree.size - 1) == tree.nodes
        except (KeyError, UnavailableError):
            self._document = b""
            return False

    async def _prove(self, size: int, tree: PublishedTree) -> bytes:
        """Return the beginning of a document with the proof; nothing if it cannot be made."""
        # A client that asks for many sizes must not fill the memory with leaves.
        kept = dict(self._known.leaves)
        try:
            await self._read_tile(size // _TILE)
            hashes = await asyncio.to_thread(self._known.consistency, size, tree.size)
        except (KeyError, UnavailableError):
            return b""
        finally:
            self._known.leaves = kept
        proof = json.dumps({"size": size, "hashes": [each.hex() for each in hashes]})
        return b'{"log_proof":' + proof.encode() + b","

    async def _read_tile(self, tile: int) -> None:
        begin = tile * _TILE
        digests = await self._records.log_digests(self._known.first + begin, _TILE)
        leaves = _leaf_hashes(digests)
        self._known.leaves.update({begin + at: leaf for at, leaf in enumerate(leaves)})


def _leaf_hashes(digests: bytes) -> list[bytes]:
    starts = range(0, len(digests) - _HASH_BYTES + 1, _HASH_BYTES)
    return [hashlib.sha256(b"\x00" + digests[at : at + _HASH_BYTES]).digest() for at in starts]


def _tile_roots(digests: bytes) -> list[bytes]:
    """Return the roots of whole tiles."""
    roots, whole = [], _TILE * _HASH_BYTES
    for at in range(0, len(digests) - whole + 1, whole):
        level = _leaf_hashes(digests[at : at + whole])
        while len(level) > 1:
            level = [_node(*pair) for pair in zip(level[::2], level[1::2], strict=True)]
        roots += level
    return roots


def _left_size(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
