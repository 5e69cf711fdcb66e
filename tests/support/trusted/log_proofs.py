"""Consistency proofs as RFC 9162, section 2.1.4.1 defines them, made of a key broker's records."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sealflow.documents.log import SignedEntry
from sealflow.owner.verifier.merkle import merkle_root
from sealflow.wire.domain import TrustDomain

if TYPE_CHECKING:
    from collections.abc import Sequence


def leaves_of(records: Sequence[bytes], first: int = 0) -> list[bytes]:
    """The digests of a simulation's log entries from a number on."""
    return [
        bytes.fromhex(SignedEntry.from_bytes(record).digest(TrustDomain.SIMULATED))
        for record in records[first:]
    ]


def consistency_path(leaves: Sequence[bytes], size: int) -> list[bytes]:
    """PROOF(size, leaves)."""
    return _subproof(size, leaves, whole=True)


def _subproof(size: int, leaves: Sequence[bytes], *, whole: bool) -> list[bytes]:
    if size == len(leaves):
        return [] if whole else [merkle_root(leaves)]
    left = 1 << (len(leaves) - 1).bit_length() - 1
    if size <= left:
        return [*_subproof(size, leaves[:left], whole=whole), merkle_root(leaves[left:])]
    rest = _subproof(size - left, leaves[left:], whole=False)
    return [*rest, merkle_root(leaves[:left])]


def with_proof(document: bytes, size: int, path: Sequence[bytes]) -> bytes:
    """A published document with a proof from a log of `size` entries."""
    value: dict[str, Any] = json.loads(document)
    proof = {"size": size, "hashes": [each.hex() for each in path]}
    return json.dumps({**value, "log_proof": proof}).encode()
