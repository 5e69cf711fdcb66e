"""Signatures, orders and grants, one fault each: the code that must come out."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest

from sealflow.documents.grant import open_grant
from sealflow.documents.revocation import SignedRevocationOrder
from sealflow.errors import EvidenceError
from sealflow.seal.keys import OpeningKey, parse_suite
from sealflow.seal.signing import verify_signature
from sealflow.trusted.keybroker.state import State, StateKey
from sealflow.wire.domain import TrustDomain
from tests.support.vectors.cases import case_name, expected, read_cases, verdict


@pytest.mark.parametrize(
    "case", read_cases("ed25519.json"), ids=lambda each: f"ed25519: {case_name(each)}"
)
def test_ed25519(case: dict[str, Any]) -> None:
    """One rule decides what is a signature."""
    public, message, signature = (
        bytes.fromhex(case[name]) for name in ("public", "message", "signature")
    )
    refusal = EvidenceError("signature", "no signature")
    found = verdict(lambda: verify_signature(public, signature, message, refusal), "signature")
    assert found == expected(case)


@pytest.mark.parametrize(
    "case", read_cases("orders.json"), ids=lambda each: f"orders: {case_name(each)}"
)
def test_order(case: dict[str, Any]) -> None:
    """An order is its signer's, in its one form."""

    def judge() -> None:
        signed = SignedRevocationOrder.from_json(case["signed"])
        signed.verify_signature(TrustDomain[case["domain"].upper()])

    assert verdict(judge, "order") == expected(case)


@pytest.mark.parametrize(
    "case", read_cases("grants.json"), ids=lambda each: f"grants: {case_name(each)}"
)
def test_grant(case: dict[str, Any]) -> None:
    """A grant is the key broker's, for this worker and this challenge."""

    def judge() -> None:
        open_grant(
            b64decode(case["grant"]),
            b64decode(case["signature"]),
            private_key=OpeningKey(
                suite=parse_suite(case["suite"]), seed=bytes.fromhex(case["seed"])
            ),
            bound=b64decode(case["bound"]),
            nonce=case["nonce"],
            signer=bytes.fromhex(case["signer"]),
        )

    assert verdict(judge, "grant") == expected(case)


@pytest.mark.parametrize(
    "case", read_cases("states.json"), ids=lambda each: f"states: {case_name(each)}"
)
def test_state(case: dict[str, Any]) -> None:
    """A state opens with its key for its deployment, and a wrapped key on its machine."""
    domain = TrustDomain[case["domain"].upper()]

    def judge() -> None:
        if "wrapped" in case:
            platform_key = bytes.fromhex(case["platform_key"])
            found = StateKey.unwrap(b64decode(case["wrapped"]), platform_key, domain)
            assert found.key.hex() == case.get("key", found.key.hex())
            return
        key = bytes.fromhex(case["key"])
        state = State.open(b64decode(case["state"]), key, case["settings"], domain)
        assert state.directory_version == case.get("version", state.directory_version)

    assert verdict(judge, "open_failed") == expected(case)
