"""Host: leader election between key broker instances, and storage of the leader's state.

The instance that holds a lease in the broker leads. The others are standbys, which have the state
key and take over within seconds. A state is stored before any answer that depends on it is sent: in
the broker, where only the leader can store it, and in this host's archive. Spec:
docs/spec/keybroker.md, section 5.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import structlog

from sealflow.errors import MalformedError, UnavailableError, WorkerGoneError
from sealflow.host.broker.keybroker_records import StoredState
from sealflow.streams.keys import HOSTS_CONTROL_CAPACITY
from sealflow.wire.control import require_ok
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealflow.host.broker.keybroker_records import KeyBrokerRecords
    from sealflow.host.broker.redis_streams import RedisStreams
    from sealflow.host.keybroker_host.process import KeyBrokerProcess
    from sealflow.host.keybroker_host.state_archive import StateArchive

_log = structlog.get_logger()

NO_STATE: Final = -1
_MACHINE_ID: Final = slice(4, 20)
"""The machine id in a sealed copy of the state key, after its magic."""
_JOIN_S: Final = 10.0
_MAX_RECORDS: Final = 500
_RETRY_S: Final = 0.5


class LeaderElection:
    """One instance's part in the election, and the storage of its state while it leads.

    The host calls `try_acquire` until it returns True, and then `renew` and `store`:

        standby: try_acquire -> False, try_acquire -> False, try_acquire -> True
        leader:  renew, store, renew, ... release
                 WorkerGoneError: another instance leads; `reset` and start a new process

    The broker gives the lease to one instance at a time. A leader whose lease ended without its
    notice can do no harm: the broker stores a state only for the holder of the lease, and only in
    place of the state before it. Spec: keybroker.md, section 5.

    The thread that reads the key broker's frames calls `store` and `store_key`; the main thread
    calls the other methods.
    """

    def __init__(
        self,
        broker: RedisStreams,
        control_stream: str,
        records: KeyBrokerRecords,
        archive: StateArchive | None,
    ) -> None:
        """Set where states are stored.

        `records`: the records in the broker, which all instances share. `archive`: this host's own
        copy; None for none. `control_stream`: the stream by which a standby reaches the leader.
        """
        self._broker = broker
        self._stream = control_stream
        self._records = records
        self._archive = archive
        self._stopping = threading.Event()
        self._stored: StoredState | None = None
        self.active = False

    def stop_waiting(self) -> None:
        """End the waiting in `store`, which then raises WorkerGoneError."""
        self._stopping.set()

    def reset(self) -> None:
        """Prepare for a new key broker process, which does not lead yet."""
        self.active, self._stored = False, None

    def keys(self) -> list[bytes]:
        """Return all sealed copies of the state key; this machine can open only its own.

        Raises: UnavailableError.
        """
        found = set(self._records.keys())
        if self._archive is not None:
            found.update(self._archive.keys())
        return sorted(found)

    def try_acquire(self, process: KeyBrokerProcess) -> bool:
        """Acquire the lease if it is free and start to lead; return whether this instance leads.

        An instance without the state key cannot lead while a state exists. It asks the leader for
        the key instead.

        Raises: UnavailableError; WorkerGoneError when the process has ended.
        """
        self._catch_up()
        if not process.has_state_key and self._newest() is not None:
            self._join(process)
            return False
        if not self._records.acquire_lease():
            return False
        # Read again: another instance may have committed before its lease ended.
        newest = self._newest()
        if newest is not None and not process.has_state_key:
            self._records.release_lease()
            return False
        self._catch_up()
        self._fill_tree()
        self._stored = newest
        self.active = True
        process.lead(b"" if newest is None else newest.state)
        _log.info("this instance leads", number=NO_STATE if newest is None else newest.number)
        return True

    def renew(self) -> None:
        """Renew the lease; restore state and log records if the broker lost its data.

        Raises: WorkerGoneError when another instance leads; UnavailableError.
        """
        if not self._records.acquire_lease():
            raise WorkerGoneError("another key broker instance leads")
        stored, shared = self._stored, self._records.stored()
        if stored is None or (shared is not None and shared.number >= stored.number):
            return
        if not self._records.commit(stored.number, stored, []):
            raise WorkerGoneError("another key broker instance leads")
        if self._archive is not None:
            self._records.restore_records(self._archive.tail(stored.number - _MAX_RECORDS))
        self._fill_tree()

    def release(self) -> None:
        """Release the lease, if this instance leads, so that a standby takes over at once."""
        if self.active:
            self.active = False
            self._records.release_lease()

    def store(self, number: int, state: bytes, records: Sequence[tuple[int, bytes]]) -> None:
        """Store a state and its log records; wait while the broker is unavailable.

        Raises: WorkerGoneError when another instance leads, or after `stop_waiting`.
        """
        before = NO_STATE if self._stored is None else self._stored.number
        stored = StoredState(number=number, state=state)
        while (leads := self._commit(before, stored, records)) is None:
            if self._stopping.wait(_RETRY_S):
                raise WorkerGoneError("stopped before the state was stored")
        if not leads:
            raise WorkerGoneError("another key broker instance leads")
        self._stored = stored
        if self._archive is not None:
            self._archive.append(records)
            self._archive.store(stored)

    def store_key(self, sealed: bytes) -> None:
        """Store the copy of the state key that is sealed for this machine.

        If the broker is unavailable, this is logged and only the archive has the copy.
        """
        machine = sealed[_MACHINE_ID]
        if self._archive is not None:
            self._archive.store_key(machine, sealed)
        try:
            self._records.store_key(machine, sealed)
        except UnavailableError as error:
            _log.warning("the state key is not stored in the broker", error=str(error))

    def _commit(
        self, before: int, stored: StoredState, records: Sequence[tuple[int, bytes]]
    ) -> bool | None:
        """Store a state in the broker; return whether it was stored, None if unavailable.

        It is not stored when another instance leads.
        """
        try:
            return self._records.commit(before, stored, records)
        except UnavailableError as error:
            _log.warning("the state waits for the broker", error=str(error))
            return None

    def _newest(self) -> StoredState | None:
        shared = self._records.stored()
        archived = None if self._archive is None else self._archive.stored()
        found = (state for state in (shared, archived) if state is not None)
        return max(found, key=lambda state: state.number, default=None)

    def _catch_up(self) -> None:
        """Copy states and log records of other instances from the broker into the archive."""
        archive = self._archive
        if archive is None:
            return
        while records := self._records.records(archive.next_number - 1, _MAX_RECORDS):
            missing = archive.next_number
            archive.append(records)
            if archive.next_number == missing:
                _log.warning("the archive lacks log records", first=missing, found=records[0][0])
                break
        shared, archived = self._records.stored(), archive.stored()
        if shared is not None and (archived is None or archived.number < shared.number):
            archive.store(shared)

    def _fill_tree(self) -> None:
        """Store the digests of log entries that the broker has not, as far as records are here."""
        first = self._records.tree_length()
        page: list[tuple[int, bytes]] = []
        for record in () if self._archive is None else self._archive.records(first):
            page.append(record)
            if len(page) == _MAX_RECORDS:
                self._records.add_to_tree(page)
                page = []
        self._records.add_to_tree(page)
        first = self._records.tree_length()
        while page := self._records.records(first - 1, _MAX_RECORDS):
            self._records.add_to_tree(page)
            first = page[-1][0] + 1

    def _join(self, process: KeyBrokerProcess) -> None:
        """Ask the leader for the state key, so that this instance becomes a standby."""
        if self._records.leader() is None:
            _log.error(
                "no instance leads, and this machine cannot open the sealed state: start an "
                "instance on a machine where one ran before, or delete the state to start a new log"
            )
            return
        try:
            challenge = require_ok(self._ask({"op": "challenge"}), "challenge")
            shown = require_ok(
                process.ask(canonical_json({"op": "show", "nonce": challenge.get("nonce")})), "show"
            )
            answer = require_ok(
                self._ask(
                    {
                        "op": "join",
                        "challenge": challenge.get("challenge"),
                        "evidence": shown.get("evidence"),
                    }
                ),
                "join",
            )
            require_ok(process.ask(canonical_json({"op": "adopt", **answer})), "adopt")
            _log.info("joined: this instance is a standby")
        except (UnavailableError, MalformedError) as error:
            _log.warning("not joined yet", error=str(error))

    def _ask(self, request: dict[str, object]) -> bytes | None:
        return self._broker.ask(
            self._stream,
            canonical_json(request),
            capacity=HOSTS_CONTROL_CAPACITY,
            timeout_s=_JOIN_S,
        )
