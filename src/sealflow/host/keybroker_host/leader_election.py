"""Host: leader election between key broker instances, and storage of the leader's state.

One leads, by a lease at the broker; the others stand by with the state's key and take over within
seconds. A state is stored before any answer that depends on it is sent: at the broker, where
only the leader can, and in this host's own archive. Spec: docs/spec/keybroker.md, section 5.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import structlog

from sealflow.errors import MalformedError, UnavailableError, WorkerGoneError
from sealflow.host.broker.keybroker_records import StoredState
from sealflow.wire.control import require_ok
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealflow.host.broker.keybroker_records import KeyBrokerRecords
    from sealflow.host.broker.redis_streams import RedisStreams
    from sealflow.host.keybroker_host.process import KeyBrokerProcess
    from sealflow.host.keybroker_host.state_archive import StateArchive

_log = structlog.get_logger()

NOTHING: Final = -1
_MACHINE: Final = slice(4, 20)
_CAPACITY: Final = 256
_JOIN_S: Final = 10.0
_RECORDS: Final = 500
_RETRY_S: Final = 0.5


class LeaderElection:
    """One instance's part in leading. `store` and `store_key` are for the reading thread."""

    def __init__(
        self,
        broker: RedisStreams,
        control_stream: str,
        ledger: KeyBrokerRecords,
        archive: StateArchive | None,
    ) -> None:
        """Share by `ledger`; keep copies in `archive`, if any."""
        self._broker = broker
        self._stream = control_stream
        self._ledger = ledger
        self._archive = archive
        self._stopping = threading.Event()
        self._kept: StoredState | None = None
        self.active = False

    def stop_waiting(self) -> None:
        """Wait for nothing any more."""
        self._stopping.set()

    def reset(self) -> None:
        """Begin with a new process, which leads nothing yet."""
        self.active, self._kept = False, None

    def keys(self) -> list[bytes]:
        """The state's keys that were sealed for some machine; maybe one is this machine's."""
        found = set(self._ledger.keys())
        if self._archive is not None:
            found.update(self._archive.keys())
        return sorted(found)

    def try_acquire(self, process: KeyBrokerProcess) -> bool:
        """Take the lead when nobody has it and this instance can; says whether it leads.

        Raises: UnavailableError, WorkerGoneError.
        """
        self._catch_up()
        if not process.has_state_key and self._newest() is not None:
            self._join(process)
            return False
        if not self._ledger.lead():
            return False
        # Read again: another instance may have committed before its lease ended.
        newest = self._newest()
        if newest is not None and not process.has_state_key:
            self._ledger.resign()
            return False
        self._catch_up()
        self._kept = newest
        self.active = True
        process.lead(b"" if newest is None else newest.state)
        _log.info("this instance leads", number=NOTHING if newest is None else newest.number)
        return True

    def renew(self) -> None:
        """Keep the lease, and put back what a broker without memory lost.

        Raises: WorkerGoneError when another instance leads; UnavailableError.
        """
        if not self._ledger.lead():
            raise WorkerGoneError("another key broker instance leads")
        kept, there = self._kept, self._ledger.stored()
        if kept is None or (there is not None and there.number >= kept.number):
            return
        if not self._ledger.commit(kept.number, kept, []):
            raise WorkerGoneError("another key broker instance leads")
        if self._archive is not None:
            self._ledger.restore_records(self._archive.tail(kept.number - _RECORDS))

    def release(self) -> None:
        """Let another instance lead at once."""
        if self.active:
            self.active = False
            self._ledger.resign()

    def store(self, number: int, state: bytes, records: Sequence[tuple[int, bytes]]) -> None:
        """Keep a state and its log records; waits while the broker is away.

        Raises: WorkerGoneError when this instance leads no more.
        """
        before = NOTHING if self._kept is None else self._kept.number
        kept = StoredState(number=number, state=state)
        while (leads := self._commit(before, kept, records)) is None:
            if self._stopping.wait(_RETRY_S):
                raise WorkerGoneError("stopped before the state was kept")
        if not leads:
            raise WorkerGoneError("another key broker instance leads")
        self._kept = kept
        if self._archive is not None:
            self._archive.append(records)
            self._archive.store(kept)

    def store_key(self, sealed: bytes) -> None:
        """Keep the state's key as sealed for this machine; waits as `store`."""
        machine = sealed[_MACHINE]
        if self._archive is not None:
            self._archive.store_key(machine, sealed)
        try:
            self._ledger.store_key(machine, sealed)
        except UnavailableError as error:
            _log.warning("the state's key is not at the broker", error=str(error))

    def _commit(
        self, before: int, kept: StoredState, records: Sequence[tuple[int, bytes]]
    ) -> bool | None:
        """Whether this instance leads and the state is kept; None while the broker is away."""
        try:
            return self._ledger.commit(before, kept, records)
        except UnavailableError as error:
            _log.warning("the state waits for the broker", error=str(error))
            return None

    def _newest(self) -> StoredState | None:
        there = self._ledger.stored()
        here = None if self._archive is None else self._archive.stored()
        return max(
            (each for each in (there, here) if each), key=lambda each: each.number, default=None
        )

    def _catch_up(self) -> None:
        """Copy what another instance wrote into the archive."""
        archive = self._archive
        if archive is None:
            return
        while records := self._ledger.records(archive.next_number - 1, _RECORDS):
            missing = archive.next_number
            archive.append(records)
            if archive.next_number == missing:
                _log.warning("the archive lacks log records", first=missing, found=records[0][0])
                break
        there, here = self._ledger.stored(), archive.stored()
        if there is not None and (here is None or here.number < there.number):
            archive.store(there)

    def _join(self, process: KeyBrokerProcess) -> None:
        """Have the instance that leads give the state's key to this one."""
        if self._ledger.leader() is None:
            _log.error(
                "no instance leads that could open the state, and this machine cannot: start an "
                "instance where one ran before, or delete the state to begin a new history"
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
            _log.info("joined: this instance can take over")
        except (UnavailableError, MalformedError) as error:
            _log.warning("not joined yet", error=str(error))

    def _ask(self, request: dict[str, object]) -> bytes | None:
        return self._broker.ask(
            self._stream, canonical_json(request), capacity=_CAPACITY, timeout_s=_JOIN_S
        )
