"""Owner: the request stream and this client's inbox on the broker, by valkey-py.

All replies of the broker are untrusted.
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
    """The request stream of one deployment, and one inbox. It is safe to share between threads.

    The inbox has a random name. `close` deletes it; otherwise its time to live does.
    """

    def __init__(self, address: BrokerAddress, deployment: str) -> None:
        """Prepare connections, which are opened at their first use.

        `address`: of the broker. `deployment`: name of the deployment.
        """
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
        """Return the published directory; None while there is none.

        Raises: UnavailableError.
        """
        try:
            return cast("bytes | None", self._client.get(self._directory))
        except valkey.ValkeyError as error:
            raise self._unavailable(error) from error

    def records(self, after: int, until: int) -> list[bytes]:
        """Return the log records `after` + 1 to `until` that the broker has, at most `MAX_RECORDS`.

        Raises: UnavailableError.
        """
        try:
            found = self._client.xrange(self._log, f"{after + 1}-1", f"{until}-1", MAX_RECORDS)
        except valkey.ValkeyError as error:
            raise self._unavailable(error) from error
        return [fields.get(FIELD_ENVELOPE, b"") for _, fields in cast("list[_Entry]", found)]

    def submit(self, entries: Sequence[tuple[str, bytes]], *, capacity: int) -> list[bool]:
        """Append entries to the request stream, up to `capacity` entries in it.

        `entries`: request ids and envelopes. Return for each entry whether it was queued; False
        means that the queue was full.

        Raises: UnavailableError; some of the entries may have been queued.
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
        """Return the correlations and envelopes of the inbox, at most `READ_COUNT`.

        Wait up to `timeout_s` seconds, at most `MAX_BLOCK_S`, for the first; 0 does not wait. The
        next call deletes the returned entries from the inbox.

        Raises: UnavailableError.
        """
        block_ms = max(1, int(min(timeout_s, MAX_BLOCK_S) * 1000)) if timeout_s > 0 else None
        try:
            if self._taken:
                # Not in the call that read them: if the broker's reply were lost, the entries
                # would be deleted and lost, too.
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
            # The inbox's time to live deletes it.
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
