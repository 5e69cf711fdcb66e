"""Key broker, pure: the keys of each epoch: one in force, one announced, old ones in their grace.

Time comes from the host and never goes back.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from sealflow.documents.directory import DirectoryKey
from sealflow.seal.keys import SEED_BYTES, OpeningKey, Suite, parse_suite
from sealflow.wire.fields import Fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sealflow.attest.deployment import Deployment
    from sealflow.wire.ids import KeyId

MAX_EPOCHS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochKey:
    """One key, sealed to until `retire_ms`, opened with until `destroy_ms`. Unix ms."""

    opening: OpeningKey
    not_before_ms: int
    retire_ms: int
    destroy_ms: int

    @property
    def kid(self) -> KeyId:
        """The key's id."""
        return self.opening.sealing.key_id

    def public(self) -> DirectoryKey:
        """What the directory says of it."""
        return DirectoryKey(
            kid=self.kid,
            suite=self.opening.suite,
            public=self.opening.sealing.public,
            not_before_ms=self.not_before_ms,
            retire_ms=self.retire_ms,
            destroy_ms=self.destroy_ms,
        )

    def to_json(self) -> dict[str, object]:
        """Return the object that the state holds: it has the private key."""
        return {
            "suite": int(self.opening.suite),
            "seed": b64encode(self.opening.seed).decode(),
            "not_before_ms": self.not_before_ms,
            "retire_ms": self.retire_ms,
            "destroy_ms": self.destroy_ms,
        }

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read what `to_json` gives.

        Raises: MalformedError.
        """
        names = ("suite", "seed", "not_before_ms", "retire_ms", "destroy_ms")
        fields = Fields(value, "epoch", names)
        suite, seed = fields.read("suite", parse_suite), fields.base64("seed", SEED_BYTES)
        return cls(
            opening=OpeningKey(suite=suite, seed=seed),
            not_before_ms=fields.time_ms("not_before_ms"),
            retire_ms=fields.time_ms("retire_ms"),
            destroy_ms=fields.time_ms("destroy_ms"),
        )


class EpochKeys:
    """The keys, oldest first; the last is the announced one. Not for several threads."""

    def __init__(self, deployment: Deployment, kept: Iterable[EpochKey] = ()) -> None:
        """Go on with the keys that were kept; `advance` makes those that are missing."""
        self._deployment = deployment
        self._skew_ms = 1000 * deployment.clock_skew_s
        self._epochs = list(kept)
        self._made: list[EpochKey] = []

    def __iter__(self) -> Iterator[EpochKey]:
        """All keys that may be opened with, now or later."""
        return iter(self._epochs)

    def drain_new_keys(self) -> list[EpochKey]:
        """Take the keys that were made since the last call, for the log."""
        made, self._made = self._made, []
        return made

    def advance(self, now_ms: int) -> bool:
        """Destroy what is over, turn to the next key, announce one more; says whether any did."""
        before, made = len(self._epochs), len(self._made)
        self._epochs = [epoch for epoch in self._epochs if now_ms < epoch.destroy_ms]
        changed = len(self._epochs) != before
        if not self._epochs:
            self._add(now_ms - self._skew_ms)
        elif now_ms >= self._epochs[-1].retire_ms:
            # Time leapt over the announced epoch.
            self._add(now_ms)
        while now_ms >= self._epochs[-1].not_before_ms:
            self._add(self._epochs[-1].retire_ms)
        return changed or len(self._made) != made

    def rotate(self, now_ms: int) -> None:
        """Begin a new epoch at once; what was sealed to the keys until now still opens."""
        grace_ms = 1000 * self._deployment.grace_s
        self._epochs = [
            replace(
                epoch,
                not_before_ms=min(epoch.not_before_ms, now_ms),
                retire_ms=min(epoch.retire_ms, now_ms),
                destroy_ms=min(epoch.destroy_ms, now_ms + grace_ms),
            )
            for epoch in self._epochs
        ][2 - MAX_EPOCHS :]
        self._add(now_ms)
        self.advance(now_ms)

    def destroy(self, kid: str, now_ms: int) -> bool:
        """Destroy one key at once; False when it is not held."""
        left = [epoch for epoch in self._epochs if epoch.kid != kid]
        if len(left) == len(self._epochs):
            return False
        self._epochs = left
        if not any(epoch.not_before_ms <= now_ms < epoch.retire_ms for epoch in left):
            self.rotate(now_ms)
        self.advance(now_ms)
        return True

    def _add(self, not_before_ms: int) -> None:
        # The first key begins in the past, for clients whose clock is behind.
        early_ms = 0 if self._epochs else self._skew_ms
        retire_ms = not_before_ms + 1000 * self._deployment.epoch_s + early_ms
        epoch = EpochKey(
            opening=OpeningKey.generate(Suite.for_domain(self._deployment.tee.domain)),
            not_before_ms=not_before_ms,
            retire_ms=retire_ms,
            destroy_ms=retire_ms + 1000 * self._deployment.grace_s,
        )
        self._epochs.append(epoch)
        self._made.append(epoch)
