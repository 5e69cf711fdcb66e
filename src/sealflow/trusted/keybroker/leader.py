"""Key broker: the leader, which answers requests and publishes the directory.

Every change is committed before it is answered: the sealed state and the new log entries are sent
to the host first, then the answer or the directory. All of it is read back before it is sent, as
its readers will; a change that they could not read is undone. Spec: docs/spec/keybroker.md,
sections 2 and 5.
"""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from sealflow.attest.evidence import Evidence
from sealflow.documents.directory import SignedDirectory
from sealflow.documents.log import EntryKind, LogEntry, SignedEntry, directory_entry
from sealflow.errors import (
    EvidenceError,
    MalformedError,
    OpenError,
    PolicyError,
)
from sealflow.trusted.keybroker.key_release import KeyRelease
from sealflow.trusted.keybroker.key_store import KeyStore
from sealflow.trusted.keybroker.log_writer import LogWriter
from sealflow.trusted.keybroker.owner_requests import (
    ControlError,
    accept_publication,
    answer_control_request,
    revoke,
)
from sealflow.trusted.keybroker.state import State, StateKey
from sealflow.trusted.port import FatalError
from sealflow.wire.fields import Fields
from sealflow.wire.frame_payloads import Event, Fatal
from sealflow.wire.frames import FrameKind, encode_batch
from sealflow.wire.strict_json import parse_object, require_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealflow.trusted.identity.identity import EnclaveIdentity
    from sealflow.trusted.port import EventJournal

    Send = Callable[[FrameKind, bytes], object]

_OPS: Final = "describe, evidence, challenge, enroll, join, publish, revoke"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Committed:
    """The last commit: its state, and the directory in force, with the time of its issue."""

    state: State
    document: bytes
    issued_ms: int
    evidence: Evidence


class KeyBroker:
    """The key broker instance that leads. Not thread-safe; use `start_new` or `resume` to make one.

    `key`: the state key. `send`: sends one frame to the host.
    """

    def __init__(
        self,
        identity: EnclaveIdentity,
        key_store: KeyStore,
        log_writer: LogWriter,
        key: bytes,
        send: Send,
        journal: EventJournal,
    ) -> None:
        self._identity = identity
        self._key_store = key_store
        self._log_writer = log_writer
        self._key = key
        self._send = send
        self._journal = journal
        self._release = KeyRelease(identity, key_store, log_writer)
        self._evidence = identity.published_evidence()
        self._version = 0
        self._previous: str | None = None
        self._document = b""
        self._issued_ms = 0
        self._committed: _Committed | None = None

    @classmethod
    def start_new(
        cls, identity: EnclaveIdentity, now_ms: int, key: bytes, send: Send, journal: EventJournal
    ) -> Self:
        """Begin a new log, with new epoch keys and no models."""
        domain = identity.deployment.tee.domain
        key_store = KeyStore(identity.deployment, now_ms)
        log_writer = LogWriter(identity.signing, domain, None)
        keybroker = cls(identity, key_store, log_writer, key, send, journal)
        keybroker._open()
        return keybroker

    @classmethod
    def resume(
        cls,
        identity: EnclaveIdentity,
        now_ms: int,
        blob: bytes,
        key: StateKey,
        send: Send,
        journal: EventJournal,
    ) -> Self:
        """Continue the log of an earlier leader from its sealed state.

        `blob`: the sealed state.

        Raises: OpenError when the state does not open with `key`, belongs to another log, or is
        older than `key` allows.
        """
        deployment = identity.deployment
        state = State.open(blob, key.key, deployment.digest, deployment.tee.domain)
        if state.log.log_id != key.log_id or state.log.number < key.number:
            raise OpenError
        key_store = KeyStore(
            deployment,
            max(now_ms, state.now_ms),
            epochs=state.epochs,
            publications=state.publications,
            revoked=state.revoked,
            names=state.names,
            orders=state.orders,
        )
        log_writer = LogWriter(identity.signing, deployment.tee.domain, state.log)
        keybroker = cls(identity, key_store, log_writer, key.key, send, journal)
        keybroker._version = state.directory_version
        keybroker._previous = state.directory_digest
        keybroker._open()
        return keybroker

    @property
    def state_key(self) -> StateKey:
        """The state key, for this machine after a restart or for a standby."""
        head = self._log_writer.head
        return StateKey(key=self._key, log_id=head.log_id, number=head.number)

    @property
    def now_ms(self) -> int:
        """The time of the newest change at least, also of those before a restart, in Unix ms."""
        return self._key_store.now_ms

    def advance(self, now_ms: int) -> None:
        """Set the clock, rotate epoch keys when due, and reissue the directory at half its life."""
        changed = self._key_store.advance(now_ms)
        lifetime_ms = 1000 * self._identity.deployment.directory_s
        if changed or self._key_store.now_ms >= self._issued_ms + lifetime_ms // 2:
            with suppress(ControlError):
                self._commit(reissue=True)
            # Keys whose time is over stay destroyed, also after a commit that was undone.
            self._key_store.advance(now_ms)

    def renew_evidence(self) -> None:
        """Reissue the directory with the same quote and the newest collateral, if it fits."""
        content = self._identity.collateral.content
        self._evidence = replace(self._evidence, collateral=content)
        with suppress(ControlError):
            self._commit(reissue=True)

    def answer(self, request: bytes | memoryview) -> bytes:
        """Return the JSON answer to one request; errors are answers too, for any peer's bytes."""
        return answer_control_request(request, self._answer_committed)

    def _answer_committed(self, value: dict[str, object]) -> dict[str, object]:
        try:
            return self._answer(value)
        finally:
            # Also after a refusal, which is logged.
            self._commit()

    def _answer(self, value: dict[str, object]) -> dict[str, object]:
        match value.get("op"):
            case "describe":
                require_keys(value, ("op",), "describe")
                return parse_object(self._document, "published directory")
            case "evidence":
                nonce = Fields(value, "evidence", ("op", "nonce")).digest("nonce")
                return {"evidence": self._identity.evidence(nonce).to_json()}
            case "challenge":
                require_keys(value, ("op",), "challenge")
                challenge, nonce = self._release.challenge()
                return {"challenge": challenge, "nonce": nonce}
            case "enroll" | "join" as op:
                return self._enroll_or_join(op, value)
            case "publish":
                return self._publish(value)
            case "revoke":
                return self._revoke(value)
            case _:
                raise ControlError("unknown_op", f"op is not one of {_OPS}")

    def _enroll_or_join(self, op: str, value: dict[str, object]) -> dict[str, object]:
        fields = Fields(value, op, ("op", "challenge", "evidence"))
        try:
            challenge = self._release.open_challenge(fields.text("challenge"))
        except KeyError as error:
            raise ControlError(
                "unknown_challenge", "the challenge is unknown, used or expired: request a new one"
            ) from error
        evidence = fields.read("evidence", Evidence.from_json)
        try:
            sealed, signature = (
                self._release.enroll(challenge, evidence, self._version)
                if op == "enroll"
                else self._release.join(challenge, evidence, self.state_key)
            )
        except (EvidenceError, PolicyError) as error:
            self._journal.record(Event.WORKER_REFUSED)
            code = "evidence" if isinstance(error, EvidenceError) else "policy"
            raise ControlError(code, str(error)) from error
        self._journal.record(Event.WORKER_APPROVED)
        answer: dict[str, object] = {
            "grant": b64encode(sealed).decode(),
            "signature": b64encode(signature).decode(),
        }
        if op == "join":
            answer["evidence"] = self._evidence.to_json()
        return answer

    def _publish(self, value: dict[str, object]) -> dict[str, object]:
        try:
            publication, changed = accept_publication(
                value, self._identity, self._key_store, self._log_writer
            )
        except ControlError:
            self._journal.record(Event.PUBLICATION_REFUSED)
            raise
        if changed:
            self._commit(reissue=True)
            self._journal.record(Event.PUBLISHED, digest=publication.digest)
        return {"version": self._version, "digest": publication.digest}

    def _revoke(self, value: dict[str, object]) -> dict[str, object]:
        if revoke(value, self._identity, self._key_store, self._log_writer):
            self._commit(reissue=True)
            self._journal.record(Event.REVOKED)
        return {"version": self._version}

    def _open(self) -> None:
        bound: dict[str, object] = {
            "deployment": self._identity.deployment.name,
            "manifest_digest": self._identity.deployment.digest,
            "evidence": self._evidence.to_json(),
        }
        self._log_writer.append(EntryKind.OPENED, self._key_store.now_ms, bound)
        self._commit(reissue=True)

    def _commit(self, *, reissue: bool = False) -> None:
        """Send the state and new log entries to the host, then the directory if it is reissued.

        Raises: ControlError with `full` when their readers could not read them; then everything is
        as it was after the last commit, and nothing is sent.
        """
        new_keys = self._key_store.epochs.drain_new_keys()
        for epoch in new_keys:
            body = {
                key: value for key, value in epoch.public().to_json().items() if key != "public"
            }
            self._log_writer.append(EntryKind.EPOCH, self._key_store.now_ms, body)
        if reissue:
            self._issue()
        entries = self._log_writer.drain_new_records()
        if not entries:
            return
        head = self._log_writer.head
        try:
            state = State.capture(self._key_store, head, self._version, self._previous or "")
            deployment = self._identity.deployment
            blob = state.seal(self._key, deployment.digest, deployment.tee.domain)
            self._read_back(blob if reissue or new_keys else b"", [record for _, record in entries])
            payload = encode_batch(self._key_store.now_ms, [(head.number, blob), *entries])
        except (MalformedError, EvidenceError, OpenError) as error:
            self._undo()
            detail = f"what follows from this would be over a limit of its readers: {error}"
            raise ControlError("full", detail) from error
        self._committed = _Committed(
            state=state,
            document=self._document,
            issued_ms=self._issued_ms,
            evidence=self._evidence,
        )
        self._send(FrameKind.STATE, payload)
        if reissue:
            self._send(FrameKind.DIRECTORY, self._document)

    def _read_back(self, blob: bytes, records: list[bytes]) -> None:
        """Read records, state and directory as those do that get them.

        `blob`: the state; empty when all of it that can grow is that of the commit before.

        Raises: MalformedError, EvidenceError, OpenError.
        """
        for record in records:
            LogEntry.unverified_from_bytes(SignedEntry.from_bytes(record).text)
        if blob:
            deployment = self._identity.deployment
            domain = deployment.tee.domain
            signing_key = self._identity.signing.public_key().public_bytes_raw()
            SignedDirectory.from_bytes(self._document).verify_signature(signing_key, domain)
            State.open(blob, self._key, deployment.digest, domain)

    def _undo(self) -> None:
        """Return to the last commit, by the same way as a restart from its state.

        Raises: FatalError with STATE when there was none.
        """
        last = self._committed
        if last is None:
            raise FatalError(Fatal.STATE)
        state = last.state
        self._key_store.restore(
            epochs=state.epochs,
            publications=state.publications,
            revoked=state.revoked,
            names=state.names,
            orders=state.orders,
        )
        self._log_writer.restore(state.log)
        self._version, self._previous = state.directory_version, state.directory_digest
        self._document, self._issued_ms = last.document, last.issued_ms
        self._evidence = last.evidence

    def _issue(self) -> None:
        if unlogged := self._release.take_unlogged():
            refusals: dict[str, object] = {
                "approved": False,
                "codes": [],
                "unlogged_refusals": unlogged,
            }
            self._log_writer.append(EntryKind.VERDICT, self._key_store.now_ms, refusals)
        self._version += 1
        directory = self._key_store.directory(self._version, self._previous, self._log_writer.head)
        domain = self._identity.deployment.tee.domain
        signed = SignedDirectory.sign(directory, self._identity.signing, domain, self._evidence)
        self._document = signed.to_bytes()
        self._issued_ms, self._previous = directory.issued_ms, signed.digest
        entry = directory_entry(directory, signed.digest)
        self._log_writer.append(entry.kind, entry.at_ms, entry.body)
