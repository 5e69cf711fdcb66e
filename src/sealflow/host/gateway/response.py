"""Host: what routes answer with, and how it goes out."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealflow.wire.envelope import MEDIA_TYPE

if TYPE_CHECKING:
    from sealflow.host.gateway.asgi import Send

ENVELOPE_TYPE: Final = MEDIA_TYPE.encode()
JSON_TYPE: Final = b"application/json"

_BODILESS: Final = (204, 304)

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A complete answer."""

    status: int = 200
    body: bytes = b""
    media_type: bytes = JSON_TYPE
    headers: tuple[Header, ...] = ()

    async def send(self, send: Send, marks: tuple[Header, ...] = ()) -> None:
        """Write it to the client, with `marks` that all answers carry."""
        headers = [*self.headers, *marks]
        if self.status not in _BODILESS:
            headers.append((b"content-type", self.media_type))
            headers.append((b"content-length", str(len(self.body)).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


class ProblemError(Exception):
    """Ends a route with a JSON error, where no refusal envelope fits."""

    def __init__(
        self, status: int, detail: str, *, headers: tuple[Header, ...] = (), close: bool = False
    ) -> None:
        """Keep the status, a sentence that says what to do, and more headers.

        `close`: end the connection, because the rest of the request was not read.
        """
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = (*headers, CLOSE) if close else headers

    def response(self) -> Response:
        """Write it as an answer."""
        return json_response({"error": self.detail}, status=self.status, headers=self.headers)


SIMULATED: Final[Header] = (b"sealflow-simulated", b"true")
"""Warns people who look; a client believes the sealed reply's own mark alone."""
CLOSE: Final[Header] = (b"connection", b"close")


def json_response(
    value: object, *, status: int = 200, headers: tuple[Header, ...] = ()
) -> Response:
    """Answer with JSON."""
    body = json.dumps(value, separators=(",", ":")).encode()
    return Response(status=status, body=body, headers=headers)


def envelope_response(
    status: int, envelope: bytes, *, headers: tuple[Header, ...] = ()
) -> Response:
    """Answer with an envelope."""
    return Response(status=status, body=envelope, media_type=ENVELOPE_TYPE, headers=headers)


def retry_after(seconds: float) -> Header:
    """Say when to try again, in whole seconds, at least one."""
    return (b"retry-after", str(max(1, math.ceil(seconds))).encode())
