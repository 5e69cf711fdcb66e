"""Host: the routes for the published directory, the log and requests to the key broker."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sealflow.errors import (
    DeadlineError,
    MalformedError,
    QueueFullError,
    UnavailableError,
)
from sealflow.host.gateway.http import (
    JSON_TYPE,
    SIMULATED,
    BodyTooLargeError,
    ProblemError,
    Response,
    retry_after,
)
from sealflow.host.gateway.passports import with_signed
from sealflow.host.gateway.routes.log_proofs import LogProofs
from sealflow.streams.keys import ControlClass, Keyspace, control_class
from sealflow.wire.fields import base64_bytes
from sealflow.wire.frames import MAX_CONTROL_BYTES
from sealflow.wire.ids import new_request_id
from sealflow.wire.strict_json import parse_object

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealflow.host.broker.gateway_records import GatewayRecords
    from sealflow.host.broker.submitter import Submitter
    from sealflow.host.gateway.config import GatewayConfig
    from sealflow.host.gateway.http import Header, Request
    from sealflow.host.gateway.replies import PendingReplies

_FRESH_S: Final = 1.0
_FRESH_MODELS_S: Final = 0.1
_LOG_COUNT: Final = 500
_LOG_READS: Final = 2
_LOG_BYTES: Final = 2**18
_NUMBER_DIGITS: Final = 15
_MAX_WAITING: Final = 32
"""Control requests of one class that a gateway has in the queue at a time."""
JSON_LINES_TYPE: Final = b"application/jsonl"


class DirectoryCache:
    """The published directory, at most 1 s old while the broker is available.

    While the broker is unavailable the last directory is served, which is signed and has an expiry.
    """

    def __init__(self, records: GatewayRecords) -> None:
        """Set the records that contain the directory."""
        self.passports: tuple[str, ...] = ()
        """The passports that are published with the directory from the next read on."""
        self.cosignatures: tuple[str, ...] = ()
        """The cosignatures of witnesses, likewise."""
        self._records = records
        self._text: bytes | None = None
        self._read: tuple[bytes | None, tuple[str, ...], tuple[str, ...]] = (None, (), ())
        self._tag = b""
        self._read_at = -_FRESH_S
        self._models: frozenset[str] | None = None
        self.says_simulated = False
        """Whether the directory's evidence names a simulated TEE. The gateway cannot verify it."""

    def simulation_headers(self) -> tuple[Header, ...]:
        """Return the header for all responses that marks a simulation; empty for hardware."""
        return (SIMULATED,) if self.says_simulated else ()

    async def read(self) -> tuple[bytes, bytes] | None:
        """Return the directory and its entity tag, or None when none is published.

        Raises: UnavailableError when the broker is unavailable and no directory was read before.
        """
        now = asyncio.get_running_loop().time()
        if now - self._read_at >= _FRESH_S:
            try:
                found = await self._records.directory()
            except UnavailableError:
                if self._text is None:
                    raise
                found = self._read[0]
            self._read_at = now
            read = (found, self.passports, self.cosignatures)
            if read != self._read:
                self._read = read
                self._text = None if found is None else with_signed(found, *read[1:])
                self.says_simulated = _says_simulated(self._text or b"{}")
                self._models = _model_digests(self._text or b"{}")
                digest = hashlib.sha256(self._text or b"").hexdigest()
                self._tag = b'"' + digest[:32].encode() + b'"'
        return None if self._text is None else (self._text, self._tag)

    async def lacks(self, model_digest: str) -> bool:
        """Return whether a directory is published in which a model is not listed."""
        if self._models is None or model_digest in self._models:
            return False
        if asyncio.get_running_loop().time() - self._read_at > _FRESH_MODELS_S:
            self._read_at = -_FRESH_S
        await self.read()
        found: frozenset[str] | None = self._models
        return found is not None and model_digest not in found


class KeyBrokerRoutes:
    """The routes `GET /v1/directory`, `GET /v1/log/{number}` and `POST /v1/control`."""

    def __init__(
        self,
        config: GatewayConfig,
        submitter: Submitter,
        records: GatewayRecords,
        directory: DirectoryCache,
        pending: PendingReplies,
    ) -> None:
        """Set the paths to the key broker: `submitter` for requests, `records` for the log."""
        self._config = config
        self._records = records
        self._submitter = submitter
        self._directory = directory
        self._pending = pending
        self._log_reads = asyncio.Semaphore(_LOG_READS)
        self._proofs = LogProofs(records)
        self._stream = Keyspace(deployment=config.deployment).control
        self._waiting: Counter[tuple[ControlClass, str]] = Counter()

    async def directory(self, request: Request) -> Response:
        """Return the directory with the key broker's evidence, or 304 if the client has it.

        With `log_size`, it has a proof from a log of that size, where one can be made.
        """
        found = await self._directory.read()
        if found is None:
            detail = "no directory is published yet: check that the key broker is running"
            raise ProblemError(503, detail, headers=(retry_after(1.0),))
        text, tag = found
        headers = ((b"etag", tag), (b"cache-control", b"no-cache"))
        known = request.header(b"if-none-match") or b""
        if tag in known or known.strip() == b"*":
            return Response(status=304, headers=headers)
        size = request.query(b"log_size") or ""
        if size.isdecimal() and len(size) <= _NUMBER_DIGITS:
            return Response(body=await self._proofs.attach(text, int(size)), headers=headers[1:])
        return Response(body=text, headers=headers)

    async def log(self, request: Request) -> Response:
        """Return up to 500 records of the key broker's log from a number on, one per line."""
        number = request.argument
        if not number.isdecimal() or len(number) > _NUMBER_DIGITS:
            raise ProblemError(400, "give the number of a log record, as in /v1/log/0")
        async with self._log_reads:
            request.held.add(_LOG_BYTES)
            await request.held.room()
            records = await self._records.log(int(number), _LOG_COUNT)
            body = b"".join(record + b"\n" for record in records)
        return Response(body=body, media_type=JSON_LINES_TYPE)

    async def control(self, request: Request) -> Response:
        """Send a request to the key broker and return its answer."""
        if request.media_type() != JSON_TYPE:
            raise ProblemError(415, "send a JSON object as content-type application/json")
        try:
            text = await request.body(MAX_CONTROL_BYTES, self._config.body_timeout_s)
            kind = control_class(parse_object(text, "control request").get("op"))
        except BodyTooLargeError:
            detail = f"the request is too large: send at most {MAX_CONTROL_BYTES} bytes"
            raise ProblemError(413, detail, close=True) from None
        except MalformedError as error:
            raise ProblemError(400, f"{error}: send one JSON object") from error
        try:
            with self._place(kind, request.peer):
                answer = self._submitter.submit(
                    self._stream,
                    text,
                    new_request_id().encode(),
                    capacity=self._config.control_capacity,
                    kind=kind,
                )
                body = await self._pending.wait(answer, request, self._config.control_wait_s)
        except QueueFullError as error:
            detail = "the key broker is busy: try again"
            raise ProblemError(429, detail, headers=(retry_after(error.retry_after_s),)) from error
        except DeadlineError as error:
            detail = "the key broker did not answer: check that the key broker host is running"
            raise ProblemError(504, detail) from error
        return Response(body=body)

    @contextmanager
    def _place(self, kind: ControlClass, peer: str) -> Iterator[None]:
        """Take one of the places of a class while its request waits.

        Raises: QueueFullError when all are taken, or the peer has its share of them.
        """
        of_peer = self._config.peer_share * _MAX_WAITING
        for holder, most in (("", _MAX_WAITING), (peer, of_peer)):
            if self._waiting[kind, holder] >= most:
                raise QueueFullError("too many requests of this class wait")
        self._waiting.update(((kind, ""), (kind, peer)))
        try:
            yield
        finally:
            self._waiting.subtract(((kind, ""), (kind, peer)))
            if not self._waiting[kind, peer]:
                del self._waiting[kind, peer]


def _says_simulated(text: bytes) -> bool:
    try:
        evidence = parse_object(text, "published directory").get("evidence")
    except MalformedError:
        return False
    return isinstance(evidence, dict) and evidence.get("tee") == "simulated"


def _model_digests(text: bytes) -> frozenset[str] | None:
    """Return the digests of a published directory's models; None if it cannot be read."""
    try:
        payload = parse_object(text, "published directory")["directory"]["payload"]  # type: ignore[index]
        models = parse_object(base64_bytes(payload, len(text), "payload"), "directory")["models"]
        return frozenset(str(each["digest"]) for each in models)  # type: ignore[attr-defined]
    except (MalformedError, KeyError, TypeError):
        return None
