"""Owner, pure: proofs that the log of one tree head continues that of another, by RFC 9162.

A gateway sends them with the published directory. Spec: directory.md, 4.5 to 4.8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from sealflow.documents.log import directory_entry, entry_digest
from sealflow.documents.log_tree import TreeHead, node_hash
from sealflow.errors import EvidenceError
from sealflow.wire.fields import OpenFields
from sealflow.wire.ids import parse_digest
from sealflow.wire.strict_json import parse_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealflow.documents.directory import Directory
    from sealflow.wire.domain import TrustDomain

_MAX_HASHES: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class LogProof:
    """A consistency proof from the tree of `size` entries to that of a directory; untrusted."""

    size: int
    hashes: tuple[bytes, ...]

    @classmethod
    def from_document(cls, document: bytes) -> Self | None:
        """Return the proof that a published document has beside its directory, if any.

        Raises: MalformedError.
        """
        value = parse_object(document, "published document")
        if "log_proof" not in value:
            return None
        fields = OpenFields(value["log_proof"], "log proof", ("size", "hashes"))
        hashes = fields.list_of("hashes", parse_digest, _MAX_HASHES)
        return cls(
            size=fields.integer("size", least=1),
            hashes=tuple(bytes.fromhex(each) for each in hashes),
        )


def log_head(directory: Directory, digest: str, domain: TrustDomain) -> TreeHead | None:
    """Return the head of the log's tree with a directory's own entry; None without a tree.

    `digest`: SHA-256 of its payload, in hex.
    """
    if directory.log_tree is None:
        return None
    entry = directory_entry(directory, digest).to_bytes()
    return directory.log_tree.append(entry_digest(entry, domain)).head


def verify_consistency(old: TreeHead, new: TreeHead, hashes: Sequence[bytes]) -> None:
    """Check that the entries of `old` are the first ones of `new`. Source: RFC 9162, 2.1.4.2.

    Raises: EvidenceError (`directory_fork`).
    """
    if old.first != new.first or not _leads(old, new, hashes):
        raise EvidenceError(
            "directory_fork",
            "the log's tree does not continue the pinned one: clients are shown different logs; "
            "do not send data, and tell the owner",
        )


def _leads(old: TreeHead, new: TreeHead, hashes: Sequence[bytes]) -> bool:
    if old.size >= new.size:
        return old == new and not hashes
    if old.size & (old.size - 1) == 0:
        hashes = (old.root, *hashes)
    if not hashes:
        return False
    left, right = old.size - 1, new.size - 1
    while left & 1:
        left, right = left >> 1, right >> 1
    old_root = new_root = hashes[0]
    for node in hashes[1:]:
        if right == 0:
            return False
        if left & 1 or left == right:
            old_root, new_root = node_hash(node, old_root), node_hash(node, new_root)
            while left and not left & 1:
                left, right = left >> 1, right >> 1
        else:
            new_root = node_hash(new_root, node)
        left, right = left >> 1, right >> 1
    return right == 0 and old_root == old.root and new_root == new.root


def tree_head_to_json(head: TreeHead) -> dict[str, object]:
    """Return the JSON object of a head in a pin."""
    return {"first": head.first, "size": head.size, "root": head.root.hex()}


def tree_head_from_json(value: object) -> TreeHead:
    """Parse an object that `tree_head_to_json` returned.

    Raises: MalformedError.
    """
    fields = OpenFields(value, "log tree", ("first", "size", "root"))
    return TreeHead(
        first=fields.integer("first"),
        size=fields.integer("size", least=1),
        root=bytes.fromhex(fields.digest("root")),
    )
