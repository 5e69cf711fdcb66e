"""The Merkle tree of RFC 9162: published values, and an independent library."""

from __future__ import annotations

import pytest
import scitt_cose

from sealflow.owner.verifier.merkle import inclusion_path, merkle_root

LEAVES = [
    bytes.fromhex(each)
    for each in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
"""The test values of Certificate Transparency, which other logs use, too."""


@pytest.mark.parametrize("size", ROOTS)
def test_published_roots(size: int) -> None:
    """The roots are those of Certificate Transparency."""
    assert merkle_root(LEAVES[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize("size", range(1, 20))
def test_another_library(size: int) -> None:
    """Roots and paths are those of another implementation, which accepts them."""
    leaves = [bytes([number]) * 32 for number in range(size)]
    texts = [leaf.hex() for leaf in leaves]
    root = merkle_root(leaves).hex()
    assert root == scitt_cose.merkle_root(texts)
    for index, text in enumerate(texts):
        path = [node.hex() for node in inclusion_path(leaves, index)]
        assert path == scitt_cose.inclusion_proof(texts, index)
        assert scitt_cose.verify_inclusion(text, index, size, path, root)
