"""Owner: conversations with a gateway as generators, so that sync and async clients share them.

A conversation yields what it needs from outside (`HttpRequest`, `Sleep`) and is sent what came of
it. Sans-I/O: nothing here touches a socket or sleeps.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from sealflow.errors import DeadlineError, SealflowError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """An HTTP request to send. `body`: bytes, or a file to stream."""

    method: str
    path: str
    body: bytes | Path = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sleep:
    """Time to let pass, in seconds."""

    seconds: float


T = TypeVar("T")
Steps = Generator[HttpRequest | Sleep, HttpResponse | None, T]


def send(request: HttpRequest) -> Steps[HttpResponse]:
    """Send one request and give its answer.

    Raises: UnavailableError, thrown in by the driver when the gateway cannot be reached.
    """
    answer = yield request
    if answer is None:
        msg = "an Ask is driven with an Answer"
        raise TypeError(msg)
    return answer


def with_deadline(timeout_s: float, steps: Steps[T]) -> Steps[T]:
    """Take the same steps, all of them together in `timeout_s`, however many there are.

    Raises: DeadlineError when the time is over, and whatever the steps raise.
    """
    until = time.monotonic() + timeout_s
    try:
        event = next(steps)
        while True:
            left_s = until - time.monotonic()
            if left_s <= 0:
                event = steps.throw(_late(timeout_s, "it took too many steps"))
                continue
            if isinstance(event, Sleep):
                yield Sleep(min(event.seconds, left_s))
                event = steps.send(None)
                continue
            try:
                answer = yield replace(event, timeout_s=min(event.timeout_s, left_s))
            except SealflowError as error:
                over = time.monotonic() >= until
                event = steps.throw(_late(timeout_s, error) if over else error)
            else:
                event = steps.send(answer)
    except StopIteration as end:
        value: T = end.value
        return value


def _late(timeout_s: float, why: object) -> DeadlineError:
    return DeadlineError(f"no answer within {timeout_s:g} s: {why}")
