"""Owner: the request stream and this client's inbox on the broker, by valkey-py.

What comes back is untrusted.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final, cast

import valkey

from sealflow.errors import UnavailableError
from sealflow.streams.connection import connect
from sealflow.streams.keys import FIELD_CORRELATION, FIELD_ENVELOPE, Keyspace, request_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealflow.streams.address import BrokerAddress

READ_COUNT: Final = 64
MAX_BLOCK_S: Final = 5.0
MAX_RECORDS: Final = 20_000
_SOCKET_TIMEOUT_S: Final = 10.0

_Entry = tuple[bytes, dict[bytes, bytes]]

_OUT_OF_MEMORY = valkey.exceptions.OutOfMemoryError


class StreamTransport:
    """Submits to one deployment's request stream and reads one inbox; safe between threads.

    The inbox has a random name and goes away with `close`, or by its time to live.
    """

    def __init__(self, address: BrokerAddress, deployment: str) -> None:
        """Use a broker; connects when first used."""
        self._address = address
        keyspace = Keyspace(deployment=deployment)
        self._requests = keyspace.requests
        self._directory = keyspace.directory
        self._log = keyspace.log
        self._inbox = keyspace.inbox(f"owner-{secrets.token_hex(16)}")
        self._client = connect(address, _SOCKET_TIMEOUT_S)
        self._blocking = connect(address, MAX_BLOCK_S + _SOCKET_TIMEOUT_S)
        self._taken: list[bytes] = []

    def directory(self) -> bytes | None:
        """Fetch the published directory; None while there is none.

        Raises: UnavailableError.
        """
        try:
            return cast("bytes | None", self._client.get(self._directory))
        except valkey.ValkeyError as error:
            raise self._unavailable(error) from error

    def records(self, after: int, until: int) -> list[bytes]:
        """Fetch the log records `after` + 1 to `until`, as far as the broker has them.

        Raises: UnavailableError.
        """
        try:
            found = self._client.xrange(self._log, f"{after + 1}-1", f"{until}-1", MAX_RECORDS)
        except valkey.ValkeyError as error:
            raise self._unavailable(error) from error
        return [fields.get(FIELD_ENVELOPE, b"") for _, fields in cast("list[_Entry]", found)]

    def submit(self, entries: Sequence[tuple[str, bytes]], *, capacity: int) -> list[bool]:
        """Append request ids and envelopes as far as there is room; False where the queue was full.

        Raises: UnavailableError; whether any were queued is then unknown.
        """
        try:
            room = max(capacity - int(self._client.xlen(self._requests)), 0)
            answers = self._append(entries[:room])
        except valkey.ValkeyError as error:
            raise self._unavailable(error) from error
        for answer in answers:
            if isinstance(answer, valkey.ValkeyError) and not isinstance(answer, _OUT_OF_MEMORY):
                raise self._unavailable(answer) from answer
        queued = [isinstance(answer, bytes) for answer in answers]
        return queued + [False] * (len(entries) - len(queued))

    def receive(self, timeout_s: float) -> list[tuple[bytes, bytes]]:
        """Take correlations and envelopes out of the inbox, waiting for the first.

        `timeout_s`: 0 takes what is there; at most `MAX_BLOCK_S` counts. Raises: UnavailableError.
        """
        block_ms = max(1, int(min(timeout_s, MAX_BLOCK_S) * 1000)) if timeout_s > 0 else None
        try:
            if self._taken:
                # Only now: had the answer to this been lost, so would be what it deletes.
                self._client.xdel(self._inbox, *self._taken)
                self._taken = []
            streams = self._blocking.xread({self._inbox: b"0"}, count=READ_COUNT, block=block_ms)
        except valkey.ValkeyError as error:
            raise self._unavailable(error) from error
        if not streams:
            return []
        [(_, entries)] = cast("list[tuple[bytes, list[_Entry]]]", streams)
        self._taken = [entry_id for entry_id, _ in entries]
        return [
            (fields.get(FIELD_CORRELATION, b""), fields.get(FIELD_ENVELOPE, b""))
            for _, fields in entries
        ]

    def close(self) -> None:
        """Delete the inbox and close the connections."""
        try:
            self._client.delete(self._inbox)
        except valkey.ValkeyError:
            # Its time to live deletes it.
            pass
        finally:
            self._client.close()
            self._blocking.close()

    def _append(self, entries: Sequence[tuple[str, bytes]]) -> list[object]:
        pipeline: Any
        with self._client.pipeline(transaction=False) as pipeline:
            for request_id, envelope in entries:
                pipeline.xadd(self._requests, request_fields(envelope, request_id, self._inbox))
            return cast("list[object]", pipeline.execute(raise_on_error=False))

    def _unavailable(self, error: valkey.ValkeyError) -> UnavailableError:
        return UnavailableError(f"broker {self._address.shown}: {error}; check that it runs")
