"""Core, pure: the Merkle tree over the log's entries, as a compact range. RFC 9162, section 2.1.

A leaf is the digest of an entry. The nodes kept are the roots of the complete subtrees, so a log of
a million entries takes at most 20. Spec: directory.md, section 4.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, Self

from sealflow.wire.fields import Fields, OpenFields
from sealflow.wire.ids import parse_digest

_MAX_NODES: Final = 53
_MAX_NUMBER: Final = 2**53 - 1


def leaf_hash(digest: bytes) -> bytes:
    """Return the node of a leaf: 32 bytes."""
    return hashlib.sha256(b"\x00" + digest).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the node above two others."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeHead:
    """The head of the tree over the `size` entries from number `first` on. `root`: 32 bytes."""

    first: int
    size: int
    root: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LogTree:
    """The tree over the `size` entries from number `first` on.

    `nodes`: the roots of its complete subtrees, the largest first.
    """

    first: int
    size: int = 0
    nodes: tuple[bytes, ...] = ()

    def append(self, digest: str) -> Self:
        """Return the tree with one more entry. `digest`: the entry's, in hex."""
        nodes, node, size = list(self.nodes), leaf_hash(bytes.fromhex(digest)), self.size
        while size & 1:
            node, size = node_hash(nodes.pop(), node), size >> 1
        return type(self)(first=self.first, size=self.size + 1, nodes=(*nodes, node))

    @property
    def head(self) -> TreeHead:
        """The head of this tree, which is not empty."""
        *rest, root = self.nodes
        for node in reversed(rest):
            root = node_hash(node, root)
        return TreeHead(first=self.first, size=self.size, root=root)

    def to_json(self) -> dict[str, object]:
        """Return the JSON object in the directory payload and in the key broker's state."""
        return {"first": self.first, "nodes": [node.hex() for node in self.nodes]}

    @classmethod
    def from_json(cls, value: object, number: int, form: type[Fields] = OpenFields) -> Self:
        """Parse an object that `to_json` returned.

        `number`: of the newest entry in the tree. `form`: `Fields` where the object is closed.

        Raises: MalformedError, also if there are not as many nodes as a tree of this size has.
        """
        read = form(value, "log tree", ("first", "nodes"))
        size = number + 1 - read.integer("first")
        nodes = read.list_of("nodes", parse_digest, _MAX_NODES)
        if size < 1 or number >= _MAX_NUMBER or len(nodes) != size.bit_count():
            raise read.malformed("nodes", "are not those of a tree that ends with the newest entry")
        return cls(
            first=number + 1 - size, size=size, nodes=tuple(bytes.fromhex(node) for node in nodes)
        )
