"""Owner, pure: the Merkle tree of RFC 9162, section 2.1, which is that of RFC 6962.

A verifier that audited the log makes the tree over all entry digests: that of the key broker, where
it begins with entry 0. Spec: cose.md, section 2.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sealflow.documents.log_tree import leaf_hash, node_hash

if TYPE_CHECKING:
    from collections.abc import Sequence


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root of the tree over `leaves`: 32 bytes."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    left = _left_size(len(leaves))
    return node_hash(merkle_root(leaves[:left]), merkle_root(leaves[left:]))


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the nodes that prove the leaf at `index`, from the leaf's sibling to the root's child.

    `index`: 0 to the number of leaves - 1.
    """
    if len(leaves) == 1:
        return []
    left = _left_size(len(leaves))
    if index < left:
        return [*inclusion_path(leaves[:left], index), merkle_root(leaves[left:])]
    return [*inclusion_path(leaves[left:], index - left), merkle_root(leaves[:left])]


def _left_size(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1
