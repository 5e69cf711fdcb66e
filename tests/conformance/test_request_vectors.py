"""What a worker answers to envelopes: refusals in clear, sealed errors, or that it opens."""

from __future__ import annotations

from base64 import b64decode
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from sealflow.seal.keys import OpeningKey, parse_suite
from sealflow.trusted.worker.serving.arrivals import (
    ArrivalQueue,
    EnvelopeBatch,
    ServingUpdate,
)
from sealflow.trusted.worker.serving.keyring import EpochPrivateKey
from sealflow.trusted.worker.serving.opener import RequestOpener
from sealflow.trusted.worker.serving.tenants import TenantLedger
from sealflow.wire.envelope import Envelope, RefusalHeader
from sealflow.wire.ids import ModelRef
from tests.support.attestation.deployments import simulated_deployment
from tests.support.trusted.told_clock import told_clock
from tests.support.vectors.cases import case_name, expected, read_cases

if TYPE_CHECKING:
    from collections.abc import Generator


class Answers:
    """Jobs and replies of a worker, as words by slot."""

    def __init__(self) -> None:
        """Begin with none."""
        self.found: dict[int, str] = {}

    def put(self, job: Any) -> None:
        """Take a request that opened and was read."""
        self.found[job.slot] = "ok"

    def close(self) -> None:
        """Nothing follows."""

    def seal_error(self, call: Any, model: Any, code: str, message: str) -> bytes:
        """Make a sealed error."""
        return b"sealed " + code.encode()

    def send(self, answers: list[tuple[int, bytes]]) -> None:
        """Take answers."""
        for slot, answer in answers:
            if answer.startswith(b"sealed "):
                self.found[slot] = answer.removeprefix(b"sealed ").decode()
                continue
            header = Envelope.from_bytes(answer, max_body_bytes=0).header
            assert isinstance(header, RefusalHeader)
            self.found[slot] = header.code.value


def prepared(_request: Any) -> Generator[int, None, tuple[dict[str, Any], int]]:
    """No input, and one row, after a step without work."""
    yield 0
    return {}, 1


def model_of(entry: dict[str, str]) -> tuple[ModelRef, Any]:
    """A model that takes anything."""
    ref = ModelRef(name=entry["name"], version=entry["version"])
    return ref, SimpleNamespace(ref=ref, digest=entry["digest"], prepare=prepared)


@pytest.mark.parametrize(
    "case", read_cases("requests.json"), ids=lambda each: f"requests: {case_name(each)}"
)
def test_request(case: dict[str, Any]) -> None:
    """The last envelope has the expected answer."""
    worker, answers = case["worker"], Answers()
    clock = told_clock(worker["now_ms"])
    opener = RequestOpener(
        ArrivalQueue(max_items=10, max_bytes=2**30),
        cast("Any", answers),
        cast("Any", answers),
        clock,
        max_body_bytes=worker["max_body_bytes"],
        replay_capacity=worker["remembered"],
        max_ahead_ms=worker["ahead_ms"],
        tenants=TenantLedger(
            simulated_deployment(worker["now_ms"]).deployment, 10, worker["now_ms"]
        ),
    )
    keys = [
        EpochPrivateKey(
            private_key=OpeningKey(
                suite=parse_suite(each["suite"]), seed=bytes.fromhex(each["seed"])
            ),
            destroy_ms=each["destroy_ms"],
        )
        for each in worker["keys"]
    ]
    models = dict(map(model_of, worker["models"]))
    opener.handle(ServingUpdate(keys=keys, lease_ms=worker["lease_ms"], models=models))
    for slot, envelope in enumerate(case["envelopes"]):
        opener.handle(EnvelopeBatch(items=[(slot, memoryview(b64decode(envelope)))]))
    assert answers.found[len(case["envelopes"]) - 1] == expected(case)
