"""The table `verifiers` of policy files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sealflow.attest.policy import policy_digest
from sealflow.errors import ConfigError
from sealflow.owner import describe_policy, load_policy
from sealflow.owner.trust.policy_file import write_policy
from tests.support.attestation.policy_files import SGX, policies, write_policy_file
from tests.support.passports.tokens import ED25519, OTHER, P256

if TYPE_CHECKING:
    from pathlib import Path

VERIFIERS = (
    ED25519.trusted("hospital", instead_of_evidence=True),
    P256.trusted("auditor"),
)
TABLE = """
[[verifiers]]
name = "{name}"
key = {{ kty = "OKP", crv = "Ed25519", x = "{x}" }}
"""


def table(name: str, x: str = ED25519.trusted("v").jwk["x"]) -> str:
    """One table of a file."""
    return TABLE.format(name=name, x=x)


def test_round_trip(tmp_path: Path) -> None:
    """A policy of each kind is written and read with its verifiers, and without any."""
    path = tmp_path / "policy.toml"
    for policy in policies():
        for verifiers in ((), VERIFIERS):
            wanted = replace(policy, verifiers=verifiers)
            write_policy(path, wanted)
            assert load_policy(path) == wanted


def test_digest() -> None:
    """Verifiers are part of a policy's digest; a policy without any keeps the digest it had."""
    policy = policies()[0]
    digests = {
        policy_digest(replace(policy, verifiers=each))
        for each in ((), VERIFIERS, VERIFIERS[:1], (ED25519.trusted("hospital"),))
    }
    assert len(digests) == 4


def test_words() -> None:
    """A policy in words says whom it trusts as a vendor of hardware, and marks it."""
    lines = {
        line.about: line for line in describe_policy(replace(policies()[0], verifiers=VERIFIERS))
    }
    instead, besides = lines["verifier hospital"], lines["verifier auditor"]
    assert "as the hardware vendor's root is" in instead.text
    assert instead.weakens
    assert "besides evidence" in besides.text
    assert not besides.weakens
    assert VERIFIERS[1].key_id[:16] in besides.text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (table("a") + table("a", OTHER.trusted("v").jwk["x"]), "one name or one key"),
        (table("a") + table("b"), "one name or one key"),
        ("".join(table(f"v{number}") for number in range(9)), "at most 8"),
        (table("a b"), "name"),
        (table("a", "x"), "key"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, says: str) -> None:
    """Each names file and key."""
    with pytest.raises(ConfigError, match=says):
        load_policy(write_policy_file(tmp_path, SGX + text))
