"""The trust report: what it says of a service, in words and for machines."""

from __future__ import annotations

import json
from dataclasses import replace

from sealflow.attest.claims import Claims
from sealflow.attest.evidence import BoundClaims, report_data
from sealflow.attest.simulated.measurement import simulated_measurement
from sealflow.owner import DirectoryModel, Role, TrustReport
from sealflow.owner.trust.trust_text import NOT_PROVED, hardware, proven_facts, visibility
from sealflow.owner.trust.verified_service import VerifiedService, verify_directory
from tests.support.cluster.published_service import NOW_MS, PublishedService


def verified() -> VerifiedService:
    """A simulated service, verified."""
    published = PublishedService.create()
    return verify_directory(published.document(), published.policy, NOW_MS)[0]


def test_simulation() -> None:
    """A report on a simulation says so in its first words, and that the operator sees all."""
    found = verified()
    assert found.simulated
    assert hardware(found.approval.claims).startswith("SIMULATED Intel SGX")
    assert {each.who: each.sees for each in visibility(simulated=found.simulated)} == {
        "this machine": True,
        "enclaves of the deployment": True,
        "operator, administrators, cloud": True,
        "gateway, queue, engine, network": False,
        "owner of the model": False,
    }


def test_facts() -> None:
    """Everything that was proved is listed with what vouches for it and how old it is."""
    found = verified()
    listed = {
        each.name: each
        for each in proven_facts(found.approval.claims, found.directory, NOW_MS + 90_000)
    }
    assert listed["code"].value == simulated_measurement(Role.KEY_BROKER).hex()
    assert listed["settings"].value == found.directory.manifest_digest
    assert listed["TCB status"].value == "UpToDate; no advisories"
    assert listed["directory"].value.endswith("(1 minute old)")
    assert listed["status is of"].value.endswith("(1 hour old)")
    assert "post-quantum" in listed["requests are sealed to"].value
    assert listed["your rows share batches"].value == "with no other client's"
    assert all(each.by for each in listed.values())
    model = DirectoryModel(
        name="m",
        version="1",
        digest="cc" * 32,
        owner="00" * 32,
        workers=None,
        default=True,
        inputs=(),
        outputs=(),
        image=None,
        share_batch=True,
    )
    sharing = replace(found.directory, models=(model,))
    facts = proven_facts(found.approval.claims, sharing, NOW_MS)
    [value] = [each.value for each in facts if each.name == "your rows share batches"]
    assert value == "with others' only if you ask for it, in m:1"
    late = {
        each.name: each.value
        for each in proven_facts(found.approval.claims, found.directory, NOW_MS + 10**10)
    }
    assert late["requests are sealed to"] == "no active key"


def test_not_proved() -> None:
    """What no evidence proves is in every report."""
    words = " ".join(f"{what} {why}" for what, why in NOT_PROVED)
    for gap in ("drop", "sizes", "side channels", "errors", "owner decides", "clock"):
        assert gap in words


def test_json() -> None:
    """Machines get the same: JSON with the verdict, who sees, and what was not proved."""
    value = json.loads(json.dumps(TrustReport(verified()).to_json()))
    assert value["verified"] is True
    assert value["simulated"] is True
    assert value["sees_plaintext"]["operator, administrators, cloud"] is True
    assert value["not_proved"] == [what for what, _ in NOT_PROVED]


def test_bound_claims_are_what_was_quoted() -> None:
    """The report's claims are those that the quote commits to, byte for byte."""
    found = verified()
    bound = found.approval.claims.bound
    again = BoundClaims.from_bytes(bound.to_bytes())
    assert again == bound
    committed = report_data(bound.to_bytes(), bound.role, found.approval.claims.domain)
    assert isinstance(found.approval.claims, Claims)
    assert found.approval.claims.report.report_data == committed
