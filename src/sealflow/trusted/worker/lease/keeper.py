"""Worker: enrolls with the key broker and renews the lease; never waits for a model.

Spec: docs/spec/keybroker.md, section 4.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sealflow.backoff import Backoff
from sealflow.errors import UnavailableError
from sealflow.trusted.worker.lease.enrollment import GRANT_ERRORS
from sealflow.trusted.worker.lease.granted_models import GrantedModels
from sealflow.trusted.worker.lease.host_requests import ClosedError
from sealflow.trusted.worker.serving.arrivals import ServingUpdate
from sealflow.trusted.worker.serving.keyring import EpochPrivateKey, LeaseUse
from sealflow.wire.frame_payloads import Event, LoadedModel, WorkerReady
from sealflow.wire.frames import FrameKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealflow.documents.grant import Grant
    from sealflow.trusted.clock import EnclaveClock
    from sealflow.trusted.identity.identity import EnclaveIdentity
    from sealflow.trusted.port import EventJournal, FramePort
    from sealflow.trusted.worker.lease.enrollment import Enrollment, VerifiedKeyBroker
    from sealflow.trusted.worker.lease.host_requests import HostRequests
    from sealflow.trusted.worker.models.loader import ModelLoader
    from sealflow.trusted.worker.serving.arrivals import ArrivalQueue

_FIRST_PAUSE_S: Final = 0.25
_MAX_PAUSE_S: Final = 15.0


class LeaseKeeper:
    """The lease thread: it sends granted keys and loaded models to the thread that opens requests.

    It runs nothing of a model's: a graph that never ends must not end the lease. `threads`: of each
    model's runtime, reported to the host in READY. `load_first`: see `GrantedModels`.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - it connects most parts of the worker
        self,
        identity: EnclaveIdentity,
        enrollment: Enrollment,
        host: HostRequests,
        loader: ModelLoader,
        arrivals: ArrivalQueue,
        clock: EnclaveClock,
        port: FramePort,
        journal: EventJournal,
        *,
        threads: int,
        load_first: Sequence[str] = (),
    ) -> None:
        self._identity = identity
        self._enrollment = enrollment
        self._host = host
        self._arrivals = arrivals
        self._clock = clock
        self._port = port
        self._journal = journal
        self._threads = threads
        self._changed = threading.Condition()
        self._document = b""
        self._closed = False
        self._lease_ms = 0
        self._use = LeaseUse()
        self._asked_anew = False
        self._grant: Grant | None = None
        self._announcing = threading.Lock()
        self.models = GrantedModels(
            host,
            loader,
            identity.deployment.tee.domain,
            journal,
            load_first=load_first,
            on_change=self._announce,
        )

    def update_directory(self, document: bytes) -> None:
        """Store the published directory and wake the lease thread; empty means unchanged.

        Called by the frame reader at every TICK, also to wake the thread when the clock advances.
        """
        with self._changed:
            self._document = document or self._document
            self._changed.notify_all()

    def serve(self, owner: str) -> bool:
        """Ask for an owner's models, now; return False if another owner's were asked for."""
        accepted = self._enrollment.serve(owner)
        with self._changed:
            self._asked_anew = True
            self._changed.notify_all()
        return accepted

    def update_collateral(self, content: bytes) -> None:
        """Store newer collateral for the next enrollment; called by the frame reader."""
        self._identity.collateral.replace(content)

    def close(self) -> None:
        """Make `keep_lease` return; called by the frame reader when the host closes the pipe."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.models.close()
        self._host.close()

    def keep_lease(self) -> None:
        """Enroll, pass the grant on, wait until it must be renewed, and repeat, until closed.

        Tries again after 0.25 s, growing to 15 s, when enrollment fails.

        Raises: FatalError as `Enrollment`.
        """
        backoff = Backoff(_FIRST_PAUSE_S, _MAX_PAUSE_S)
        while not self._closed:
            try:
                keybroker = self._enrollment.verify_key_broker(self._clock.now_ms)
                self._asked_anew = False
                grant = self._by_own_clock(self._enrollment.enroll(keybroker))
            except ClosedError:
                return
            except GRANT_ERRORS as error:
                unavailable = isinstance(error, UnavailableError)
                event = Event.KEY_BROKER_UNREACHABLE if unavailable else Event.ENROLLMENT_REFUSED
                self._journal.record(event)
                self._drop_models_after_lease()
                self._pause(backoff.next_s())
                continue
            backoff.reset()
            self._grant = grant
            self.models.replace(grant.models)
            self._announce()
            self._wait_for_renewal(grant, keybroker)

    def _by_own_clock(self, grant: Grant) -> Grant:
        """Return a grant whose times are reached by this worker's clock when it was lied to, too.

        The key broker made it just now, so it tells its time. A host that told an earlier one when
        it started the worker would stretch the lease by as much.
        """
        deployment = self._identity.deployment
        issued_ms = grant.lease_ms - 1000 * deployment.lease_s
        self._clock.count_from(issued_ms - 1000 * deployment.clock_skew_s)
        behind_ms = max(issued_ms - self._clock.now_ms, 0)
        keys = [replace(key, destroy_ms=key.destroy_ms - behind_ms) for key in grant.keys]
        self._lease_ms, self._use = grant.lease_ms - behind_ms, LeaseUse()
        return replace(grant, keys=tuple(keys), lease_ms=self._lease_ms)

    def _drop_models_after_lease(self) -> None:
        if self.models.loaded and (self._clock.now_ms >= self._lease_ms or self._use.is_used()):
            self.models.replace(())
            self._journal.record(Event.LEASE_ENDED)

    def _announce(self) -> None:
        """Send the newest keys and the loaded models to the opener, and the models to the host."""
        with self._announcing:
            grant, loaded = self._grant, self.models.loaded
            if grant is None:
                return
            keys = [
                EpochPrivateKey(private_key=key.private_key, destroy_ms=key.destroy_ms)
                for key in grant.keys
            ]
            serving = ServingUpdate(
                keys=keys,
                lease_ms=grant.lease_ms,
                models=loaded,
                use=self._use,
                revoked_tokens=grant.revoked_tokens,
            )
            self._arrivals.put(serving)
            models = tuple(
                LoadedModel(
                    name=model.ref.name,
                    version=model.ref.version,
                    digest=model.digest,
                    runtime=model.runtime.value,
                    max_batch=model.max_rows,
                )
                for model in loaded.values()
            )
            ready = WorkerReady(
                instance=self._identity.instance,
                simulated=self._identity.simulated,
                threads=self._threads,
                models=models,
            )
            self._port.send(FrameKind.READY, ready.to_bytes())

    def _wait_for_renewal(self, grant: Grant, keybroker: VerifiedKeyBroker) -> None:
        """Wait for half of the lease, the end of the approval, a newer directory, or `close`.

        The half of a lease is over by time or by what was opened under it.
        """
        self._journal.record(Event.ENROLLED, directory_version=grant.directory_version)
        now_ms = self._clock.now_ms
        due_ms = min(now_ms + (grant.lease_ms - now_ms) // 2, keybroker.valid_until_ms)
        seen = b""
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: (
                        self._closed
                        or self._asked_anew
                        or self._document != seen  # noqa: B023 - called in this iteration only
                        or self._is_due(due_ms)
                    ),
                    # Nobody may wake this thread: the host can be silent.
                    max(due_ms - self._clock.now_ms + 1, 0) / 1000,
                )
                seen = self._document
                if self._closed or self._asked_anew or self._is_due(due_ms):
                    return
            if self._enrollment.is_newer(seen, keybroker, grant.directory_version):
                return

    def _is_due(self, due_ms: int) -> bool:
        return self._clock.now_ms >= due_ms or self._use.is_used(parts=2)

    def _pause(self, seconds: float) -> None:
        """Wait, at most until a newer directory is published: an owner may have uploaded."""
        with self._changed:
            seen = self._document
            self._changed.wait_for(lambda: self._closed or self._document != seen, seconds)
