"""Logs, receipts and what a client finds in a reply with a receipt: the code that must come out."""

from __future__ import annotations

import json
from base64 import b64decode
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from sealflow.owner import ReceiptProof, audit_log, verify_receipt
from sealflow.owner.audit.receipt_proof import ReceiptRequest
from sealflow.owner.trust.policy_file import parse_policy
from sealflow.seal.content import parse_content
from sealflow.wire.domain import TrustDomain
from tests.support.vectors.cases import case_name, expected, read_cases, verdict

if TYPE_CHECKING:
    from sealflow.seal.exchange import OutgoingCall
    from sealflow.wire.envelope import ReplyHeader


def cases(name: str) -> list[Any]:
    """The cases of a file, named by it."""
    return [
        pytest.param(case, id=f"{name}: {case_name(case)}") for case in read_cases(f"{name}.json")
    ]


@pytest.mark.parametrize("case", cases("log"))
def test_log(case: dict[str, Any]) -> None:
    """A log is genuine as a whole, or the first fault is named."""
    policy = parse_policy(case["policy"]).keybroker
    digests: list[str] = []

    def judge() -> None:
        log = audit_log([record.encode() for record in case["records"]], policy)
        digests.extend(log.digests)

    assert verdict(judge, "log_chain") == expected(case)
    if "digests" in case:
        assert digests == case["digests"]


@pytest.mark.parametrize("case", cases("receipts"))
def test_receipt(case: dict[str, Any]) -> None:
    """A judge with a log finds it genuine, or says why not."""
    policy = parse_policy(case["policy"]).keybroker
    log = audit_log([record.encode() for record in case["records"]], policy)
    later: list[dict[str, str]] = []

    def judge() -> None:
        proof = ReceiptProof.from_bytes(json.dumps(case["line"]).encode())
        found = verify_receipt(proof, log)
        later.extend(cast("dict[str, str]", what.to_json()) for what, _ in found.revoked)

    assert verdict(judge, "receipt") == expected(case)
    if "revoked" in case:
        assert later == case["revoked"]


@pytest.mark.parametrize("case", cases("receipt-replies"))
def test_reply_with_a_receipt(case: dict[str, Any]) -> None:
    """A client that asked takes a receipt about its own exchange only."""
    sent = case["exchange"]
    header = SimpleNamespace(
        request_id=sent["rid"],
        key_id=sent["kid"],
        model_digest=sent["model_digest"],
        instance=sent["instance"],
    )
    call = SimpleNamespace(domain=TrustDomain[case["domain"].upper()])
    asked = ReceiptRequest(parts=[], salt=case["salt"], _request=b64decode(case["request"]))

    def judge() -> None:
        content = parse_content(memoryview(b64decode(case["reply"])))
        asked.verify_reply(cast("OutgoingCall", call), cast("ReplyHeader", header), content)

    assert verdict(judge, "reply") == expected(case)
