"""Worker: fetches and loads the granted models on a thread of its own, which may take long."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from sealflow.backoff import Backoff
from sealflow.errors import BundleError, MalformedError, UnavailableError
from sealflow.trusted.worker.lease.host_requests import ClosedError
from sealflow.trusted.worker.models.loader import DamagedPackageError
from sealflow.wire.frame_payloads import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sealflow.documents.grant import GrantedModel
    from sealflow.trusted.port import EventJournal
    from sealflow.trusted.worker.lease.host_requests import HostRequests
    from sealflow.trusted.worker.models.loader import ModelLoader, ServedModel
    from sealflow.wire.domain import TrustDomain
    from sealflow.wire.ids import ModelRef

_FIRST_PAUSE_S: Final = 0.25
_MAX_PAUSE_S: Final = 15.0


class GrantedModels:
    """The models of the newest grant, and those of them that are loaded.

    `load_first`: digests of packages to load before all others, in order. `on_change`: called by
    the loading thread after each load.
    """

    def __init__(
        self,
        host: HostRequests,
        loader: ModelLoader,
        domain: TrustDomain,
        journal: EventJournal,
        *,
        load_first: Sequence[str],
        on_change: Callable[[], None],
    ) -> None:
        self._host = host
        self._loader = loader
        self._domain = domain
        self._journal = journal
        self._rank = {digest: place for place, digest in enumerate(load_first)}
        self._on_change = on_change
        self._changed = threading.Condition()
        self._closed = False
        self._granted: dict[str, GrantedModel] = {}
        self._refused: set[str] = set()
        self._loaded: dict[str, ServedModel] = {}

    @property
    def loaded(self) -> Mapping[ModelRef, ServedModel]:
        """The models that are loaded and granted."""
        with self._changed:
            return {model.ref: model for model in self._loaded.values()}

    def replace(self, models: Sequence[GrantedModel]) -> None:
        """Drop models that are not granted any more, and have the thread load the new ones.

        Packages that were refused are tried again: the host may have replaced the file by then.
        """
        with self._changed:
            self._granted = {model.digest: model for model in models}
            self._refused.clear()
            for digest in self._loaded.keys() - self._granted.keys():
                del self._loaded[digest]
                self._journal.record(Event.MODEL_DROPPED, digest=digest)
            self._changed.notify_all()

    def close(self) -> None:
        """Make `load_models` return."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def load_models(self) -> None:
        """Load what is granted, until closed; try missing packages again, after 0.25 to 15 s."""
        backoff = Backoff(_FIRST_PAUSE_S, _MAX_PAUSE_S)
        while not self._closed:
            # Taken before the load: a grant that comes meanwhile must not be missed.
            granted = self._granted
            try:
                complete = self.load_missing()
            except ClosedError:
                return
            if complete:
                backoff.reset()
            with self._changed:
                self._changed.wait_for(
                    lambda: self._closed or self._granted is not granted,  # noqa: B023 - called now
                    None if complete else backoff.next_s(),
                )

    def load_missing(self) -> bool:
        """Load each granted model that is not loaded; return False if a package did not come.

        Raises: ClosedError.
        """
        with self._changed:
            skipped = self._loaded.keys() | self._refused
            waiting = [model for digest, model in self._granted.items() if digest not in skipped]
        waiting.sort(key=lambda model: self._rank.get(model.digest, len(self._rank)))
        came = [self._fetch_and_load(model) for model in waiting]
        return all(came)

    def _fetch_and_load(self, model: GrantedModel) -> bool:
        try:
            package = self._host.fetch_package(model.digest)
        except ClosedError:
            raise
        except (MalformedError, UnavailableError):
            package = None
        if package is None:
            self._journal.record(Event.PACKAGE_MISSING, digest=model.digest)
            return False
        self._journal.record(Event.MODEL_LOADING, digest=model.digest)
        try:
            served = self._loader.load_package(
                package, model.digest, model.signer, model.content_key, self._domain
            )
        except DamagedPackageError:
            # The host moves the file aside, and its owner uploads it again.
            self._journal.record(Event.PACKAGE_DAMAGED, digest=model.digest)
            return False
        except (BundleError, MemoryError):
            self._refused.add(model.digest)
            self._journal.record(Event.PACKAGE_REFUSED, digest=model.digest)
            return True
        with self._changed:
            if model.digest in self._granted:
                self._loaded[model.digest] = served
        self._journal.record(Event.MODEL_LOADED, digest=model.digest)
        self._on_change()
        return True
