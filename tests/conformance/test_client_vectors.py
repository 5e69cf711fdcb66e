"""What a client chooses and reads, one fault each: the key, the model, the code."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.openinfer.messages import TopClass
from sealflow.owner import audit_log
from sealflow.owner.trust.name_owners import owners_from_json
from sealflow.owner.trust.pin import PinnedDirectory
from sealflow.owner.trust.policy_file import parse_policy
from sealflow.owner.trust.session import ServiceSession
from sealflow.owner.trust.verified_service import verify_directory
from sealflow.wire.envelope import Envelope
from tests.support.vectors.cases import case_name, expected, read_cases, verdict

if TYPE_CHECKING:
    from pathlib import Path


def cases(name: str) -> list[Any]:
    """The cases of a file, named by it."""
    return [
        pytest.param(case, id=f"{name}: {case_name(case)}") for case in read_cases(f"{name}.json")
    ]


@pytest.mark.parametrize("case", cases("lookup"))
def test_lookup(case: dict[str, Any], tmp_path: Path) -> None:
    """It seals to the right key, for the right model, or says why not."""
    clock = [case["now_ms"]]
    policy, document = parse_policy(case["policy"]).keybroker, json.dumps(case["document"]).encode()
    pin = None
    if "owners" in case:
        verified, payload = verify_directory(document, policy, case["now_ms"])
        pinned = PinnedDirectory.from_directory(verified.directory, payload)
        pin = tmp_path / "client.pin"
        pin.write_bytes(replace(pinned, owners=owners_from_json(case["owners"])).to_bytes())
    session = ServiceSession(policy, pin=pin, clock_ms=lambda: clock[0])
    session.accept(session.verify_directory(document))
    clock[0] = case.get("later_ms", case["now_ms"])
    found: dict[str, str] = {}

    def judge() -> None:
        model = session.model(case["ask"])
        found["model"] = f"{model.name}:{model.version}"
        call = session.seal_request(model, [b"\1"], timeout_s=1)
        found["kid"] = call.header.key_id

    code = verdict(judge, "directory")
    assert code == expected(case)
    for name in ("kid", "model"):
        assert case.get(name, found.get(name)) == found.get(name)


@pytest.mark.parametrize("case", cases("log-pins"))
def test_log_pin(case: dict[str, Any], tmp_path: Path) -> None:
    """A pinned directory is in the log, or another one is."""
    policy = parse_policy(case["policy"]).keybroker
    log = audit_log([record.encode() for record in case["records"]], policy)
    pin = tmp_path / "client.pin"
    pin.write_text(json.dumps(case["pin"]))
    assert verdict(lambda: log.require_pinned(pin), "pin") == expected(case)


@pytest.mark.parametrize("case", cases("classes"))
def test_class(case: dict[str, Any]) -> None:
    """An element has a score, an index and a label, or is refused."""
    found: list[TopClass] = []
    element = b64decode(case["element"])
    assert verdict(lambda: found.append(TopClass.from_bytes(element)), "reply") == expected(case)
    for each in found:
        assert (each.score, each.index, each.label) == (case["score"], case["index"], case["label"])


@pytest.mark.parametrize("case", cases("envelopes"))
def test_envelope(case: dict[str, Any]) -> None:
    """An envelope parses, or is refused before anything is read from it."""
    data, limit = b64decode(case["envelope"]), case["max_body_bytes"]
    found = verdict(lambda: Envelope.from_bytes(data, max_body_bytes=limit), "malformed")
    assert found == expected(case)
