"""Owner: conversations with a gateway as generators, so that sync and async clients share them.

A conversation yields what it needs from the world (`Ask`, `Pause`) and is sent what came of it.
Sans-I/O: nothing here touches a socket or sleeps.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """An HTTP request to send. `body`: bytes, or a file to stream."""

    method: str
    path: str
    body: bytes | Path = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pause:
    """Time to let pass, in seconds."""

    seconds: float


T = TypeVar("T")
Steps = Generator[Ask | Pause, Answer | None, T]


def ask(request: Ask) -> Steps[Answer]:
    """Send one request and give its answer.

    Raises: UnavailableError, thrown in by the driver when the gateway cannot be reached.
    """
    answer = yield request
    if answer is None:
        msg = "an Ask is driven with an Answer"
        raise TypeError(msg)
    return answer
