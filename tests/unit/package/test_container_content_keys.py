"""The key of a package's content: who unwraps it, and what it opens."""

from __future__ import annotations

import pytest

from sealflow.errors import OpenError
from sealflow.package.container import UnverifiedPackage, content_key_id
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.wire.domain import TrustDomain
from tests.support.models.package_parts import (
    OWNER,
    PACKAGE,
    SIGNER,
    WORLD,
    join_package,
    pack,
    split_package,
    verified_package,
)


@pytest.mark.parametrize("key", [b"", b"k" * 31, b"k" * 32, b"k" * 33])
def test_a_wrong_content_key_opens_nothing(key: bytes) -> None:
    """The statement commits to the right one."""
    with pytest.raises(OpenError):
        verified_package().open_files(key, WORLD)


def test_the_right_content_key_opens_nothing_in_another_world() -> None:
    """What is simulated never counts as hardware."""
    key = verified_package().unwrap(OWNER)
    assert content_key_id(key, TrustDomain.HARDWARE) != content_key_id(key, TrustDomain.SIMULATED)
    with pytest.raises(OpenError):
        verified_package().open_files(key, TrustDomain.HARDWARE)


def test_only_the_packing_owner_unwraps() -> None:
    """Neither another key nor the same seed in another world."""
    for other in (
        OpeningKey.generate(Suite.SIMULATED_X25519),
        OpeningKey(suite=Suite.X25519, seed=OWNER.seed),
    ):
        with pytest.raises(OpenError):
            verified_package().unwrap(other)


def test_a_wrapped_key_of_another_package_is_refused() -> None:
    """It is bound to the digest of its own."""
    envelope, _, sealed = split_package(PACKAGE)
    _, other, _ = split_package(pack())
    package = UnverifiedPackage.from_bytes(join_package(envelope, other, sealed)).verify(SIGNER)
    with pytest.raises(OpenError):
        package.unwrap(OWNER)
    with pytest.raises(OpenError):
        package.open_files(verified_package().unwrap(OWNER), WORLD)
