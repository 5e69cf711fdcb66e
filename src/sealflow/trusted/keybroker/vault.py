"""Key broker, pure: the keys of each epoch and the models with their content keys, in memory only.

Time comes from the host and never goes back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealflow.errors import RefusedError
from sealflow.seal.directory import Directory, DirectoryKey, DirectoryModel
from sealflow.seal.grant import Grant, GrantedKey, GrantedModel
from sealflow.seal.keys import OpeningKey
from sealflow.seal.suites import Suite
from sealflow.wire.refusal import RefusalCode

if TYPE_CHECKING:
    from sealflow.attest.deployment import Deployment
    from sealflow.seal.publishing import Publication
    from sealflow.wire.ids import ModelRef

MAX_MODELS: Final = 256
_SKEW_MS: Final = 300_000
"""The first key is valid this long before now, for clients whose clock is behind."""


class VersionTakenError(RefusedError):
    """Another package has this name and version."""

    def __init__(self) -> None:
        """Map to the refusal that a model of that name would cause."""
        super().__init__(RefusalCode.UNKNOWN_MODEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Epoch:
    opening: OpeningKey
    not_before_ms: int
    retire_ms: int
    destroy_ms: int


class Vault:
    """Everything that the key broker guards. Not for several threads."""

    def __init__(self, deployment: Deployment, now_ms: int) -> None:
        """Start an epoch with new keys, and announce the next one."""
        self._deployment = deployment
        self._now_ms = now_ms
        self._models: dict[ModelRef, Publication] = {}
        self._epochs: list[_Epoch] = []
        self._add_epoch(now_ms - _SKEW_MS, now_ms + 1000 * deployment.epoch_s)
        self._announce_next()

    @property
    def now_ms(self) -> int:
        """The latest time known."""
        return self._now_ms

    def advance(self, now_ms: int) -> bool:
        """Move time on; says whether keys came or went."""
        self._now_ms = now_ms = max(self._now_ms, now_ms)
        before = len(self._epochs)
        self._epochs = [epoch for epoch in self._epochs if now_ms < epoch.destroy_ms]
        changed = len(self._epochs) != before
        if not self._epochs or now_ms >= self._epochs[-1].retire_ms:
            # Time leapt over the announced epoch.
            self._add_epoch(now_ms, now_ms + 1000 * self._deployment.epoch_s)
            changed = True
        if now_ms >= self._epochs[-1].not_before_ms:
            self._announce_next()
            changed = True
        return changed

    def publish(self, publication: Publication) -> bool:
        """Serve a model from now on, by default under its name; False when it was there already.

        Raises: VersionTakenError, RefusedError (OVERLOADED) when the vault is full.
        """
        ref = publication.statement.manifest.ref
        present = self._models.get(ref)
        if present is not None:
            if present.digest != publication.digest:
                raise VersionTakenError
            return False
        if len(self._models) >= MAX_MODELS:
            raise RefusedError(RefusalCode.OVERLOADED)
        self._models[ref] = publication
        return True

    def directory(self, version: int, previous: str | None) -> Directory:
        """Describe all keys and models, as of now."""
        latest = {ref.name: ref for ref in self._models}
        return Directory(
            deployment=self._deployment.name,
            version=version,
            previous=previous,
            issued_ms=self._now_ms,
            expires_ms=self._now_ms + 1000 * self._deployment.directory_s,
            manifest_digest=self._deployment.digest,
            models=tuple(
                _described(publication, default=latest[ref.name] == ref)
                for ref, publication in self._models.items()
            ),
            keys=tuple(
                DirectoryKey(
                    kid=epoch.opening.sealing.key_id,
                    suite=epoch.opening.suite,
                    public=epoch.opening.sealing.public,
                    not_before_ms=epoch.not_before_ms,
                    retire_ms=epoch.retire_ms,
                    destroy_ms=epoch.destroy_ms,
                )
                for epoch in self._epochs
            ),
        )

    def grant(self, directory_version: int) -> Grant:
        """Gather what an approved worker may use."""
        return Grant(
            keys=tuple(
                GrantedKey(opening=epoch.opening, destroy_ms=epoch.destroy_ms)
                for epoch in self._epochs
            ),
            models=tuple(
                GrantedModel(
                    ref=ref,
                    digest=publication.digest,
                    signer=publication.signer,
                    content_key=publication.content_key,
                )
                for ref, publication in self._models.items()
            ),
            lease_ms=self._now_ms + 1000 * self._deployment.lease_s,
            directory_version=directory_version,
        )

    def _announce_next(self) -> None:
        last = self._epochs[-1]
        self._add_epoch(last.retire_ms, last.retire_ms + 1000 * self._deployment.epoch_s)

    def _add_epoch(self, not_before_ms: int, retire_ms: int) -> None:
        self._epochs.append(
            _Epoch(
                opening=OpeningKey.generate(Suite.of(self._deployment.tee.world)),
                not_before_ms=not_before_ms,
                retire_ms=retire_ms,
                destroy_ms=retire_ms + 1000 * self._deployment.grace_s,
            )
        )


def _described(publication: Publication, *, default: bool) -> DirectoryModel:
    manifest = publication.statement.manifest
    return DirectoryModel(
        name=manifest.name,
        version=manifest.version,
        digest=publication.digest,
        default=default,
        inputs=manifest.inputs,
        outputs=manifest.outputs,
        image=None if manifest.image is None else manifest.image.input,
    )
