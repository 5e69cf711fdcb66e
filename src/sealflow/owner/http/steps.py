"""Owner: sequences of HTTP requests as generators, which sync and async clients share.

A generator of steps yields an `HttpRequest` or a `Sleep`; the transport sends it the response, or
None after a sleep. Sans-I/O: nothing here uses a socket or sleeps.
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
    """An HTTP request to the gateway.

    `path`: from the gateway's URL on. `body`: bytes, or a file to stream. `timeout_s`: for the
    whole exchange.
    """

    method: str
    path: str
    body: bytes | Path = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """An HTTP response. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sleep:
    """A pause before the next step, in seconds."""

    seconds: float


T = TypeVar("T")
Steps = Generator[HttpRequest | Sleep, HttpResponse | None, T]


def send(request: HttpRequest) -> Steps[HttpResponse]:
    """Return the response to one request.

    Raises: UnavailableError, thrown in by the transport when the gateway cannot be reached.
    """
    response = yield request
    if response is None:
        raise TypeError("the transport did not send a response to an HttpRequest")
    return response


def with_deadline(timeout_s: float, steps: Steps[T]) -> Steps[T]:
    """Yield the same steps, with shorter timeouts so that all of them end within `timeout_s`.

    Raises: DeadlineError when the time is over, and every error of the steps.
    """
    until = time.monotonic() + timeout_s
    try:
        event = next(steps)
        while True:
            left_s = until - time.monotonic()
            if left_s <= 0:
                event = steps.throw(_late(timeout_s, "it needed too many requests"))
                continue
            if isinstance(event, Sleep):
                yield Sleep(min(event.seconds, left_s))
                event = steps.send(None)
                continue
            try:
                response = yield replace(event, timeout_s=min(event.timeout_s, left_s))
            except SealflowError as error:
                over = time.monotonic() >= until
                event = steps.throw(_late(timeout_s, error) if over else error)
            else:
                event = steps.send(response)
    except StopIteration as end:
        value: T = end.value
        return value


def _late(timeout_s: float, why: object) -> DeadlineError:
    return DeadlineError(f"no answer within {timeout_s:g} s: {why}")
