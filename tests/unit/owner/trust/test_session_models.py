"""A policy that names models, and what its client seals for."""

from __future__ import annotations

import pytest

from sealflow.errors import PolicyError
from sealflow.owner import DirectoryModel
from sealflow.owner.trust.session import ServiceSession
from tests.support.attestation.policy_files import policies


def described(name: str, digest: str) -> DirectoryModel:
    """A model of a directory."""
    return DirectoryModel(
        name=name,
        version="1",
        digest=digest,
        owner="00" * 32,
        default=True,
        inputs=(),
        outputs=(),
        image=None,
        workers=None,
    )


def test_models() -> None:
    """A client whose policy names models seals for no other package."""
    policy = policies()[0]
    session = ServiceSession(policy)
    for name, digest in (("net", "cc" * 32), ("other", "aa" * 32)):
        model = described(name, digest)
        with pytest.raises(PolicyError) as caught:
            session.seal_request(model, [], timeout_s=1.0)
        assert [each.code for each in caught.value.mismatches] == ["model"]
