"""Key broker, pure: the models with their content keys, the epoch keys, and what is revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealflow.documents.directory import Directory, DirectoryModel
from sealflow.documents.grant import Grant, GrantedKey, GrantedModel
from sealflow.documents.revocation import MAX_REVOKED, Revoked, RevokedKind
from sealflow.errors import RefusalCode, RefusedError
from sealflow.package.publication import requirements_digest
from sealflow.trusted.keybroker.epoch_keys import EpochKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sealflow.attest.deployment import Deployment
    from sealflow.attest.requirements import Requirements
    from sealflow.package.publication import Publication
    from sealflow.trusted.keybroker.epoch_keys import EpochKey
    from sealflow.trusted.keybroker.log_writer import LogHead
    from sealflow.wire.ids import ModelRef

MAX_MODELS: Final = 256


class VersionTakenError(RefusedError):
    """Another package has this name and version."""

    def __init__(self) -> None:
        """Map to the refusal that a model of that name would cause."""
        super().__init__(RefusalCode.UNKNOWN_MODEL)


class KeyStore:
    """Everything that the key broker guards. Not for several threads."""

    def __init__(
        self,
        deployment: Deployment,
        now_ms: int,
        *,
        epochs: Iterable[EpochKey] = (),
        publications: Iterable[Publication] = (),
        revoked: Iterable[Revoked] = (),
    ) -> None:
        """Hold what was kept; makes the epoch keys that are missing."""
        self._deployment = deployment
        self._now_ms = now_ms
        self._models: dict[ModelRef, Publication] = {
            each.statement.manifest.ref: each for each in publications
        }
        self._revoked = dict.fromkeys(revoked)
        self.epochs = EpochKeys(deployment, epochs)
        self.epochs.advance(now_ms)

    @property
    def now_ms(self) -> int:
        """The latest time known."""
        return self._now_ms

    @property
    def publications(self) -> tuple[Publication, ...]:
        """All models, in the order in which they came."""
        return tuple(self._models.values())

    @property
    def revoked(self) -> tuple[Revoked, ...]:
        """All that is revoked, in the order in which it was."""
        return tuple(self._revoked)

    def is_revoked(self, kind: RevokedKind, name: str) -> bool:
        """Whether one thing is revoked."""
        return Revoked(kind=kind, id=name) in self._revoked

    def advance(self, now_ms: int) -> bool:
        """Move time on; says whether keys came or went."""
        self._now_ms = max(self._now_ms, now_ms)
        return self.epochs.advance(self._now_ms)

    def publish(self, publication: Publication) -> bool:
        """Serve a model from now on, by default under its name; False when nothing changed.

        A later publication of the same package replaces what its owner demands of workers.
        Raises: VersionTakenError, RefusedError (OVERLOADED) when the key store is full.
        """
        ref = publication.statement.manifest.ref
        present = self._models.get(ref)
        if present is not None:
            if present.digest != publication.digest:
                raise VersionTakenError
            if present.issued_ms >= publication.issued_ms:
                return False
        elif len(self._models) >= MAX_MODELS:
            raise RefusedError(RefusalCode.OVERLOADED)
        self._models[ref] = publication
        return True

    def owner_of(self, digest: str) -> str | None:
        """Who published a package, None when it is not here."""
        found = (each.signer for each in self._models.values() if each.digest == digest)
        return next(found, None)

    def revoke(self, revoked: Revoked) -> bool:
        """Revoke one thing for good; False when it was already.

        A revoked worker knows the keys that are in force and announced: a new epoch begins.
        Raises: RefusedError (OVERLOADED) when no more can be remembered.
        """
        if revoked in self._revoked:
            return False
        if len(self._revoked) >= MAX_REVOKED:
            raise RefusedError(RefusalCode.OVERLOADED)
        self._revoked[revoked] = None
        match revoked.kind:
            case RevokedKind.WORKER:
                self.epochs.rotate(self._now_ms)
            case RevokedKind.KEY:
                self.epochs.destroy(revoked.id, self._now_ms)
            case RevokedKind.MODEL:
                for ref in [ref for ref, each in self._models.items() if each.digest == revoked.id]:
                    del self._models[ref]
        return True

    def directory(self, version: int, previous: str | None, log: LogHead) -> Directory:
        """Describe all keys and models, as of now."""
        latest = {ref.name: ref for ref in self._models}
        return Directory(
            deployment=self._deployment.name,
            log_id=log.log_id,
            log_number=log.number,
            log_digest=log.digest,
            version=version,
            previous=previous,
            issued_ms=self._now_ms,
            expires_ms=self._now_ms + 1000 * self._deployment.directory_s,
            manifest_digest=self._deployment.digest,
            models=tuple(
                _described(publication, default=latest[ref.name] == ref)
                for ref, publication in self._models.items()
            ),
            keys=tuple(epoch.public() for epoch in self.epochs),
            revoked=self.revoked,
        )

    def grant(
        self, fits: Callable[[Requirements], bool], log_id: str, directory_version: int
    ) -> Grant:
        """Gather what an approved worker may use.

        `fits`: whether the worker fulfils what the owner of a model demands besides.
        """
        return Grant(
            keys=tuple(
                GrantedKey(opening=epoch.opening, destroy_ms=epoch.destroy_ms)
                for epoch in self.epochs
            ),
            models=tuple(
                GrantedModel(
                    ref=ref,
                    digest=publication.digest,
                    signer=publication.signer,
                    content_key=publication.content_key,
                )
                for ref, publication in self._models.items()
                if publication.workers is None or fits(publication.workers)
            ),
            lease_ms=self._now_ms + 1000 * self._deployment.lease_s,
            log_id=log_id,
            directory_version=directory_version,
        )


def _described(publication: Publication, *, default: bool) -> DirectoryModel:
    manifest, workers = publication.statement.manifest, publication.workers
    return DirectoryModel(
        name=manifest.name,
        version=manifest.version,
        digest=publication.digest,
        owner=publication.signer,
        workers=None if workers is None else requirements_digest(workers),
        default=default,
        inputs=manifest.inputs,
        outputs=manifest.outputs,
        image=None if manifest.image is None else manifest.image.input,
    )
