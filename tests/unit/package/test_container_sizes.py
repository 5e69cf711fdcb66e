"""Sizes that a package announces are compared with what is there before memory is taken."""

from __future__ import annotations

import struct
import tracemalloc

import pytest

from sealflow.errors import BundleError
from sealflow.package.container import MAGIC, MAX_WRAPPED_KEY_BYTES, UnverifiedPackage
from sealflow.package.statement import MAX_STATEMENT_BYTES
from tests.support.models.package_parts import PACKAGE, join_package, sign_changed, split_package


@pytest.mark.parametrize("size", [1, 2**32 - 1, 2**32 - 14, 2**32, 2**63])
def test_an_announced_huge_file_allocates_nothing(size: int) -> None:
    """What a statement says about sizes is compared with what is there."""
    package = sign_changed({"size": size})
    _refused_for_little(package)


@pytest.mark.parametrize("length", [2**32 - 1, 2**31, MAX_STATEMENT_BYTES * 2])
def test_an_announced_huge_part_allocates_nothing(length: int) -> None:
    """Lengths over their limits or over the end are refused."""
    envelope, _, _ = split_package(PACKAGE)
    announced = struct.pack(">I", length)
    _refused_for_little(MAGIC + announced)
    _refused_for_little(MAGIC + announced + bytes(100))
    _refused_for_little(MAGIC + struct.pack(">I", len(envelope)) + envelope + announced)


def test_parts_have_limits_even_when_they_are_there() -> None:
    """Nobody makes a reader parse megabytes of statement or unwrap a long key."""
    envelope, _, sealed = split_package(PACKAGE)
    large = bytes(MAX_STATEMENT_BYTES * 2)
    for package in (
        join_package(large, b"", b""),
        join_package(envelope, bytes(MAX_WRAPPED_KEY_BYTES + 1), sealed),
    ):
        with pytest.raises(BundleError, match="limit"):
            UnverifiedPackage.from_bytes(package)


def _refused_for_little(package: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(BundleError):
            UnverifiedPackage.from_bytes(package)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20
