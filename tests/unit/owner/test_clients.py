"""Both clients of a gateway: answers, retries that never weaken anything, errors that help."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pytest

from sealflow.errors import (
    DeadlineError,
    EvidenceError,
    InvalidInputError,
    MalformedError,
    ModelError,
    OpenError,
    PolicyError,
    RefusedError,
    SealflowError,
    UnavailableError,
)
from sealflow.owner import AsyncClient, Client, InferResult
from sealflow.wire.envelope import decode
from sealflow.wire.refusal import RefusalCode
from tests.sim.published import Published
from tests.sim.service import (
    PlayedService,
    failing,
    forged,
    negated,
    now_ms,
    refusing,
    silent,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sealflow.host.broker.delivery import Delivery
    from sealflow.wire.envelope import RequestHeader
    from tests.sim.gateway import RunningGateway

ROW = np.array([[1, -2, 3, 4]], np.float32)


class Asker(Protocol):
    """One client, whichever."""

    def verify(self) -> Any:
        """Verify the service."""
        ...

    def infer(self, rows: Any = ROW, timeout_s: float = 20.0) -> InferResult:
        """Ask the model m once."""
        ...

    def many(self, rows: Iterable[Any], **options: Any) -> dict[int, InferResult | SealflowError]:
        """Ask the model m often; gives outcomes by index."""
        ...

    def close(self) -> None:
        """Disconnect."""
        ...


class InThreads:
    """The client for programs without an event loop."""

    def __init__(self, url: str, policy: Any, **options: Any) -> None:
        self.client = Client(url, policy=policy, **options)

    def verify(self) -> Any:
        """Verify the service."""
        return self.client.verify()

    def infer(self, rows: Any = ROW, timeout_s: float = 20.0) -> InferResult:
        """Ask once."""
        return self.client.infer("m", tensors={"x": rows}, timeout_s=timeout_s)

    def many(self, rows: Iterable[Any], **options: Any) -> dict[int, InferResult | SealflowError]:
        """Ask often."""
        found = self.client.infer_many("m", [{"x": each} for each in rows], **options)
        return {outcome.index: outcome.value for outcome in found}

    def close(self) -> None:
        """Disconnect."""
        self.client.close()


class InALoop:
    """The client for asyncio, in a loop of its own."""

    def __init__(self, url: str, policy: Any, **options: Any) -> None:
        self.client = AsyncClient(url, policy=policy, **options)
        self._runner = asyncio.Runner()

    def verify(self) -> Any:
        """Verify the service."""
        return self._runner.run(self.client.verify())

    def infer(self, rows: Any = ROW, timeout_s: float = 20.0) -> InferResult:
        """Ask once."""
        return self._runner.run(self.client.infer("m", tensors={"x": rows}, timeout_s=timeout_s))

    def many(self, rows: Iterable[Any], **options: Any) -> dict[int, InferResult | SealflowError]:
        """Ask often."""

        async def run() -> dict[int, InferResult | SealflowError]:
            found = self.client.infer_many("m", [{"x": each} for each in rows], **options)
            return {outcome.index: outcome.value async for outcome in found}

        return self._runner.run(run())

    def close(self) -> None:
        """Disconnect."""
        self._runner.run(self.client.close())
        self._runner.close()


@pytest.fixture(params=[InThreads, InALoop], ids=["threads", "loop"])
def asker(
    request: pytest.FixtureRequest, gateway: RunningGateway, service: PlayedService
) -> Iterator[Asker]:
    """Either client, which trusts the service."""
    made: Asker = request.param(gateway.url, service.published.policy)
    yield made
    made.close()


def await_served(gateway: RunningGateway, text: bytes) -> None:
    """Wait until a gateway, which keeps the directory for a second, has a newer one."""
    until = time.monotonic() + 20
    while gateway.http.get("/v1/directory").content != text:
        assert time.monotonic() < until
        time.sleep(0.05)


def headers(service: PlayedService) -> list[RequestHeader]:
    """What was asked, as the host sees it."""
    return [decode(each.envelope, max_body_bytes=2**24).request_header for each in service.seen]


def test_an_answer(asker: Asker, service: PlayedService) -> None:
    """The result is the worker's, says which model made it, and that it was a simulation."""
    result = asker.infer()
    np.testing.assert_array_equal(result.outputs["y"], -ROW)
    assert str(result.model) == "m:1"
    assert result.model_digest == service.directory.models[0].digest
    assert result.simulated
    assert "SIMULATED" in repr(result)
    assert result.request_id == headers(service)[0].request_id


def test_many(asker: Asker, service: PlayedService) -> None:
    """Each of many requests gets its own answer; one that fails does not end the others."""
    service.script = [negated, failing("model_failed", "too hot"), negated]
    rows = [ROW * number for number in range(6)]
    found = asker.many(rows, concurrency=1)
    assert sorted(found) == list(range(6))
    assert isinstance(found[1], ModelError)
    for index in (0, 2, 3, 4, 5):
        value = found[index]
        assert isinstance(value, InferResult)
        np.testing.assert_array_equal(value.outputs["y"], -rows[index])


def test_many_at_a_time(asker: Asker, service: PlayedService) -> None:
    """Answers that come in any order are told apart."""
    rows = [ROW * number for number in range(20)]
    found = asker.many(rows, concurrency=8)
    for index, value in found.items():
        assert isinstance(value, InferResult)
        np.testing.assert_array_equal(value.outputs["y"], -rows[index])
    assert len(found) == 20


def test_sealed_errors(asker: Asker, service: PlayedService) -> None:
    """What a worker says inside the seal is raised, with its words, and not tried again."""
    service.script = [failing("invalid_input", "x has 5 columns, not 4")]
    with pytest.raises(InvalidInputError, match="x has 5 columns, not 4"):
        asker.infer()
    service.script = [failing("out_of_memory", "no room")]
    with pytest.raises(ModelError, match="no room") as caught:
        asker.infer()
    assert caught.value.code == "out_of_memory"
    assert len(service.seen) == 2


@pytest.mark.parametrize(
    "code",
    [
        RefusalCode.MALFORMED,
        RefusalCode.TOO_LARGE,
        RefusalCode.NOT_OPENED,
        RefusalCode.UNDELIVERABLE,
    ],
)
def test_refusals_that_stay(asker: Asker, service: PlayedService, code: RefusalCode) -> None:
    """A refusal that another try would meet again is raised at once, by its code and meaning."""
    service.script = [refusing(code)]
    with pytest.raises(RefusedError, match=code.meaning) as caught:
        asker.infer()
    assert caught.value.code is code
    assert len(service.seen) == 1


@pytest.mark.parametrize("code", [RefusalCode.REPLAYED, RefusalCode.OVERLOADED])
def test_refusals_that_pass(asker: Asker, service: PlayedService, code: RefusalCode) -> None:
    """A passing refusal costs another try, sealed anew: nothing is ever sent twice."""
    service.script = [refusing(code), refusing(code), negated]
    np.testing.assert_array_equal(asker.infer().outputs["y"], -ROW)
    asked = headers(service)
    assert len({each.request_id for each in asked}) == 3
    assert len({each.envelope for each in service.seen}) == 3


def test_refusals_without_end(asker: Asker, service: PlayedService) -> None:
    """A host that always refuses is not asked forever."""
    service.script = [refusing(RefusalCode.REPLAYED)]
    with pytest.raises(RefusedError):
        asker.infer()
    assert len(service.seen) == 5


def test_full_for_too_long(asker: Asker, service: PlayedService) -> None:
    """Whoever finds the service full until the time is over is told so."""
    service.script = [refusing(RefusalCode.OVERLOADED)]
    with pytest.raises(DeadlineError, match=r"no reply within 1 s; .*add workers"):
        asker.infer(timeout_s=1)


def test_a_new_key(asker: Asker, service: PlayedService) -> None:
    """Once the workers' key is gone, the client looks for the new one until it finds it."""
    asker.infer()
    old = headers(service)[0].key_id

    def strict(service: PlayedService, delivery: Delivery) -> bytes | None:
        if decode(delivery.envelope, max_body_bytes=2**24).request_header.key_id == old:
            return refusing(RefusalCode.UNKNOWN_KEY)(service, delivery)
        return negated(service, delivery)

    service.script = [strict]
    service.turn_key()
    np.testing.assert_array_equal(asker.infer().outputs["y"], -ROW)
    suites = {decode(each.envelope, max_body_bytes=2**24).suite for each in service.seen}
    assert len(suites) == 1


def bad_directories(service: PlayedService) -> dict[str, bytes]:
    """What nobody who trusts the service's directory may take for a newer one."""
    good, text = service.directory, service.text
    at = text.index(b'"payload"') + 40
    past_ms = now_ms() - 10**9
    stranger = Published.create(now_ms())
    sign = service.published.document
    return {
        "text": b"{}",
        "flipped": text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :],
        "older": sign(replace(good, version=good.version - 1)),
        "of a stranger": stranger.document(stranger.with_model()),
        "expired": sign(replace(good, version=99, issued_ms=past_ms, expires_ms=past_ms + 1000)),
    }


def test_retries_do_not_weaken(service: PlayedService, gateway: RunningGateway) -> None:
    """A refusal cannot talk a client into a directory that it would not have taken before."""
    service.renew()
    await_served(gateway, service.text)
    good = service.directory
    asker = InThreads(gateway.url, service.published.policy)
    asker.infer()
    service.script = [refusing(RefusalCode.UNKNOWN_KEY)]
    for kind, text in bad_directories(service).items():
        service.publish_text(text)
        await_served(gateway, text)
        service.seen.clear()
        with pytest.raises((EvidenceError, PolicyError, MalformedError)):
            asker.infer()
        assert len(service.seen) == 1, kind
    asker.close()
    service.publish(good)
    await_served(gateway, service.text)


def test_answers_that_do_not_open(asker: Asker, service: PlayedService) -> None:
    """A reply that was changed on the way is no reply; why it does not open is not said."""
    service.script = [forged]
    with pytest.raises(OpenError) as caught:
        asker.infer()
    assert str(caught.value) == "the sealed message does not open"
    assert caught.value.__cause__ is None


def test_answer_of_another_request(asker: Asker, service: PlayedService) -> None:
    """A genuine reply to an earlier request does not pass for this one's."""
    kept: list[bytes] = []

    def keep(service: PlayedService, delivery: Any) -> bytes:
        kept.append(negated(service, delivery))
        return kept[0]

    service.script = [keep]
    asker.infer()
    with pytest.raises(OpenError):
        asker.infer()


def test_silence(asker: Asker, service: PlayedService) -> None:
    """A service that does not answer costs the time that was given, and no more."""
    asker.verify()
    service.script = [silent]
    started = time.monotonic()
    with pytest.raises(DeadlineError, match="raise timeout_s, or add workers"):
        asker.infer(timeout_s=0.5)
    assert time.monotonic() - started < 15
    assert len(service.seen) == 1


def test_deadline_goes_along(asker: Asker, service: PlayedService) -> None:
    """Workers learn how long the client waits, so that nobody works for those who left."""
    asker.infer(timeout_s=7)
    left_ms = headers(service)[0].deadline_ms - now_ms()
    assert 0 < left_ms <= 7000


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (np.zeros((1, 5), np.float32), r"\[1, 5\]"),
        (np.zeros((1, 4), np.int64), "INT64"),
        ([["a", "b", "c", "d"]], "tensor x: could not convert string to float"),
        ([[1, 2], [3]], "tensor x: "),
    ],
)
def test_wrong_input(asker: Asker, service: PlayedService, rows: Any, says: str) -> None:
    """What cannot fit the model is said here, and never sent."""
    with pytest.raises(InvalidInputError, match=says):
        asker.infer(rows)
    assert service.seen == []


def test_nobody_there(asker: Asker, service: PlayedService) -> None:
    """A gateway that is not there is named, and where to look."""
    absent = type(asker)("http://127.0.0.1:1", service.published.policy)  # type: ignore[call-arg]
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1: .*sealflow status"):
        absent.infer(timeout_s=1)
    absent.close()
