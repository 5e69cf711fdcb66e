"""Key broker, pure: holds models with their content keys, epoch keys, and revocations."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from sealflow.documents.directory import MAX_KEYS, Directory, DirectoryModel
from sealflow.documents.grant import MAX_REVOKED_TOKENS, Grant, GrantedKey, GrantedModel
from sealflow.documents.revocation import MAX_REVOKED, Revoked, RevokedKind
from sealflow.errors import RefusalCode, RefusedError
from sealflow.package.publication import requirements_digest
from sealflow.trusted.keybroker.epoch_keys import EpochKeys
from sealflow.trusted.keybroker.order_records import MAX_EXCLUDED, OrderRecords

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from sealflow.attest.deployment import Deployment
    from sealflow.attest.requirements import Requirements
    from sealflow.package.publication import Publication
    from sealflow.trusted.keybroker.epoch_keys import EpochKey
    from sealflow.trusted.keybroker.log_writer import LogHead
    from sealflow.wire.ids import ModelRef

MAX_MODELS: Final = 256
MAX_NAMES: Final = 1024
MAX_REVOKED_MODELS: Final = MAX_REVOKED // 2
"""Of all owners together; each has its share."""
MAX_REVOKED_WORKERS: Final = MAX_REVOKED - MAX_REVOKED_MODELS - MAX_KEYS
ROTATION_PAUSE_MS: Final = 10_000
_LISTED: Final = (RevokedKind.WORKER, RevokedKind.MODEL, RevokedKind.KEY)
"""What a directory lists as revoked; grants and tokens are not for clients."""


class VersionTakenError(RefusedError):
    """Another package was published under this name and version.

    Its refusal code is UNKNOWN_MODEL.
    """

    def __init__(self) -> None:
        super().__init__(RefusalCode.UNKNOWN_MODEL)


class NameTakenError(RefusedError):
    """The name belongs to another owner. Its refusal code is UNKNOWN_MODEL."""

    def __init__(self) -> None:
        super().__init__(RefusalCode.UNKNOWN_MODEL)


class KeyStore:
    """The models, keys and revocations of a deployment. Not thread-safe.

    `epochs`, `publications`, `revoked`, `names`, `orders`: the content of an earlier process's
    state. Missing epoch keys are created.
    """

    def __init__(  # noqa: PLR0913 - the content of a state
        self,
        deployment: Deployment,
        now_ms: int,
        *,
        epochs: Iterable[EpochKey] = (),
        publications: Iterable[Publication] = (),
        revoked: Iterable[Revoked] = (),
        names: Mapping[str, str] = MappingProxyType({}),
        orders: OrderRecords | None = None,
    ) -> None:
        self._deployment = deployment
        self._now_ms = now_ms
        self.restore(
            epochs=epochs,
            publications=publications,
            revoked=revoked,
            names=names,
            orders=orders or OrderRecords(),
        )
        self.epochs.advance(now_ms)

    def restore(
        self,
        *,
        epochs: Iterable[EpochKey],
        publications: Iterable[Publication],
        revoked: Iterable[Revoked],
        names: Mapping[str, str],
        orders: OrderRecords,
    ) -> None:
        """Hold exactly what a state holds. The clock stays."""
        self._models: dict[ModelRef, Publication] = {
            each.statement.manifest.ref: each for each in publications
        }
        self._revoked = dict.fromkeys(revoked)
        self._names = dict(names)
        self.orders = orders.copy()
        for publication in self._models.values():  # a state of an earlier release has no names
            self._names.setdefault(publication.statement.manifest.name, publication.signer)
        self.epochs = EpochKeys(self._deployment, epochs)

    @property
    def now_ms(self) -> int:
        """The latest time from the host, in Unix ms."""
        return self._now_ms

    @property
    def publications(self) -> tuple[Publication, ...]:
        """All published models, in the order of their first publication."""
        return tuple(self._models.values())

    @property
    def revoked(self) -> tuple[Revoked, ...]:
        """All revocations, oldest first."""
        return tuple(self._revoked)

    @property
    def names(self) -> Mapping[str, str]:
        """The owner of each name that was ever published, also if no version is left."""
        return self._names

    def is_revoked(self, kind: RevokedKind, revoked_id: str) -> bool:
        """Return whether a worker, model or key is revoked, listed or not."""
        barred = kind is RevokedKind.WORKER and revoked_id in self.orders.barred
        return barred or Revoked(kind=kind, id=revoked_id) in self._revoked

    def advance(self, now_ms: int) -> bool:
        """Set the clock, never backwards; return whether keys or revocations changed."""
        self._now_ms = max(self._now_ms, now_ms)
        changed = self.epochs.advance(self._now_ms)
        ended = self.orders.bar_ended(self._now_ms)
        for each in ended:
            self._revoked.pop(Revoked(kind=RevokedKind.WORKER, id=each), None)
        return self._rotate_if_due() or changed or bool(ended)

    def publish(self, publication: Publication) -> bool:
        """Add a model, or do what its owner's newer order says; return False if nothing changed.

        The last model of a name is its default. An order that does not make its version the default
        puts it before all others. A publication without an order only adds.

        Raises: NameTakenError when the name is another owner's; VersionTakenError when another
        package has this name and version; RefusedError with OVERLOADED when `MAX_MODELS` are
        published, or the owner has used up its share of models or of names.
        """
        ref, owner, order = (
            publication.statement.manifest.ref,
            publication.signer,
            publication.order,
        )
        if self._names.get(ref.name, owner) != owner:
            raise NameTakenError
        present = self._models.get(ref)
        if present is not None and present.digest != publication.digest:
            raise VersionTakenError
        if present is not None and order is None:
            return False
        if present is None:
            self._require_room(ref.name, owner)
        self._names[ref.name] = owner
        if order is not None:
            self.orders.counters[owner] = order.counter
            self.orders.signed_names[ref.name] = owner
        if order is None or order.default:
            self._models.pop(ref, None)
            self._models[ref] = publication
        elif present is None:
            self._models = {ref: publication, **self._models}
        else:
            self._models[ref] = publication
        return True

    def _require_room(self, name: str, owner: str) -> None:
        models = [each.signer for each in self._models.values()]
        if (
            len(models) >= MAX_MODELS
            or self._is_used_up(MAX_MODELS, owner, models)
            or (
                name not in self._names and self._is_used_up(MAX_NAMES, owner, self._names.values())
            )
        ):
            raise RefusedError(RefusalCode.OVERLOADED)

    def _is_used_up(self, most: int, owner: str, held: Iterable[str]) -> bool:
        """Return whether an owner holds its share of `most`, which no other owner can take."""
        return sum(each == owner for each in held) >= self._share(most)

    def _share(self, most: int) -> int:
        return max(1, most // max(1, len(self._deployment.owners)))

    def owner_of(self, digest: str) -> str | None:
        """Return the owner who published a package, or None if it is not published."""
        found = (each.signer for each in self._models.values() if each.digest == digest)
        return next(found, None)

    def is_done(self, revoked: Revoked, signer: str) -> bool:
        """Return whether a revocation that `signer` orders would change nothing."""
        if revoked.kind is RevokedKind.GRANT:
            return self.orders.is_excluded(signer, revoked.id)
        if revoked.kind is RevokedKind.TOKEN:
            return revoked.id in self.orders.revoked_tokens
        return revoked in self._revoked

    def is_known(self, revoked: Revoked) -> bool:
        """Return whether there is now what would be revoked: a lease, a package or a key."""
        match revoked.kind:
            case RevokedKind.WORKER | RevokedKind.GRANT:
                return self.orders.has_grant(revoked.id, self._now_ms)
            case RevokedKind.MODEL:
                return self.owner_of(revoked.id) is not None
            case RevokedKind.KEY:
                return any(epoch.kid == revoked.id for epoch in self.epochs)
            case RevokedKind.TOKEN:
                return True

    def revoke(self, revoked: Collection[Revoked], signer: str) -> None:
        """Revoke all of these permanently, or nothing. All are known, and none is revoked yet.

        A revoked worker still has the key in force and the announced one, so a new epoch begins:
        one for all, and at most one in `ROTATION_PAUSE_MS`. No key in its grace time is destroyed.

        Raises: RefusedError with OVERLOADED when a share of revocations is used up, with
        UNAVAILABLE when there is no room for a new epoch yet.
        """
        kinds = {kind: [each.id for each in revoked if each.kind is kind] for kind in RevokedKind}
        self.orders.forget_tokens(self._now_ms)
        self._check_shares(kinds, signer)
        new_epoch = bool(kinds[RevokedKind.WORKER]) or any(
            epoch.kid in kinds[RevokedKind.KEY] and self._now_ms < epoch.retire_ms
            for epoch in self.epochs
        )
        if new_epoch and not self.epochs.has_room():
            raise RefusedError(RefusalCode.UNAVAILABLE)
        # It may hold any key that there is now, and gets none that comes later.
        keys_end_ms = max((epoch.destroy_ms for epoch in self.epochs), default=self._now_ms)
        for each in kinds[RevokedKind.WORKER]:
            self.orders.ends[each] = max(keys_end_ms, self.orders.granted.get(each, 0))
        self.orders.revoked_tokens |= dict.fromkeys(kinds[RevokedKind.TOKEN], self._now_ms)
        if kinds[RevokedKind.GRANT]:
            self.orders.excluded.setdefault(signer, []).extend(kinds[RevokedKind.GRANT])
        self._revoked |= dict.fromkeys(each for each in revoked if each.kind in _LISTED)
        for ref, publication in list(self._models.items()):
            if publication.digest in kinds[RevokedKind.MODEL]:
                self.orders.revoked_of[publication.digest] = publication.signer
                self.orders.signed_names[ref.name] = publication.signer
                del self._models[ref]
        rotated = self._revoke_keys(kinds[RevokedKind.KEY])
        if kinds[RevokedKind.WORKER] and not rotated:
            due_ms = self.orders.rotated_ms + ROTATION_PAUSE_MS
            self.orders.rotation_due_ms = max(self._now_ms, due_ms)
            self._rotate_if_due()

    def _revoke_keys(self, kids: Collection[str]) -> bool:
        rotated = self.epochs.destroy(kids, self._now_ms)
        if rotated:
            self.orders.rotated_ms, self.orders.rotation_due_ms = self._now_ms, 0
        # A key that is destroyed never comes back, so the list need not hold it for ever.
        listed = [each for each in self._revoked if each.kind is RevokedKind.KEY]
        for each in listed[: max(0, len(listed) - MAX_KEYS)]:
            del self._revoked[each]
        return rotated

    def _check_shares(self, kinds: Mapping[RevokedKind, Collection[str]], signer: str) -> None:
        excluded = len(self.orders.excluded.get(signer, ())) + len(kinds[RevokedKind.GRANT])
        workers = sum(each.kind is RevokedKind.WORKER for each in self._revoked)
        full = (
            excluded > MAX_EXCLUDED
            or len(self.orders.revoked_tokens) + len(kinds[RevokedKind.TOKEN]) > MAX_REVOKED_TOKENS
            or workers + len(kinds[RevokedKind.WORKER]) > MAX_REVOKED_WORKERS
        )
        for owner in {self.owner_of(digest) for digest in kinds[RevokedKind.MODEL]}:
            own = [each for each in kinds[RevokedKind.MODEL] if self.owner_of(each) == owner]
            held = sum(each == owner for each in self.orders.revoked_of.values())
            full = full or held + len(own) > self._share(MAX_REVOKED_MODELS)
        if full:
            raise RefusedError(RefusalCode.OVERLOADED)

    def _rotate_if_due(self) -> bool:
        due_ms = self.orders.rotation_due_ms
        if not 0 < due_ms <= self._now_ms or not self.epochs.has_room():
            return False
        self.epochs.rotate(self._now_ms)
        self.orders.rotated_ms, self.orders.rotation_due_ms = self._now_ms, 0
        return True

    def directory(self, version: int, previous: str | None, log: LogHead) -> Directory:
        """Return the directory of all keys, models and revocations, issued now.

        `previous`: digest of the directory before it, in hex; None for the first one.
        """
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
                _directory_model(
                    publication,
                    default=latest[ref.name] == ref,
                    share_batch=self._deployment.share_batch,
                )
                for ref, publication in self._models.items()
            ),
            keys=tuple(epoch.public() for epoch in self.epochs),
            revoked=self.revoked,
            ends=dict(self.orders.ends),
            deadline_s=self._deployment.deadline_s,
            log_tree=log.tree,
        )

    def grant(
        self,
        instance: str,
        serves: str | None,
        fits: Callable[[Requirements], bool],
        log_id: str,
        directory_version: int,
    ) -> Grant:
        """Return the grant of an approved worker: all epoch keys, and the models it may load.

        `serves`: the owner whose models it may load; None for none. `fits`: returns whether the
        worker meets a model owner's additional requirements.
        """
        lease_ms = self._now_ms + 1000 * self._deployment.lease_s
        self.orders.record_grant(instance, lease_ms, self._now_ms)
        return Grant(
            keys=tuple(
                GrantedKey(private_key=epoch.private_key, destroy_ms=epoch.destroy_ms)
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
                if publication.signer == serves
                and not self.orders.is_excluded(publication.signer, instance)
                and (publication.workers is None or fits(publication.workers))
            ),
            lease_ms=lease_ms,
            log_id=log_id,
            directory_version=directory_version,
            revoked_tokens=frozenset(self.orders.revoked_tokens),
        )


def _directory_model(
    publication: Publication, *, default: bool, share_batch: bool
) -> DirectoryModel:
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
        share_batch=share_batch and manifest.rows_independent,
        package_sha256=publication.package_sha256,
        package_bytes=publication.package_bytes,
        classification=(
            None if manifest.classification is None else manifest.classification.output
        ),
    )
