"""Key broker, pure: creates, rotates and destroys epoch keys.

An epoch has one key for each suite of the deployment, all with the same times. There is always one
epoch in force and one announced; retired keys are held for the grace time. Time comes from the host
and never goes back. Spec: docs/spec/keybroker.md, section 1.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from sealflow.documents.directory import MAX_KEYS, DirectoryKey
from sealflow.seal.keys import SEED_BYTES, OpeningKey, Suite, parse_suite
from sealflow.wire.fields import Fields

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from sealflow.attest.deployment import Deployment
    from sealflow.wire.ids import KeyId


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochKey:
    """One key pair of an epoch, with its times in Unix ms.

    Clients seal to it from `not_before_ms` until `retire_ms`. Workers open with it until
    `destroy_ms`.
    """

    private_key: OpeningKey
    not_before_ms: int
    retire_ms: int
    destroy_ms: int

    @property
    def kid(self) -> KeyId:
        """The key id (docs/spec/exchange.md, section 2)."""
        return self.private_key.public_key.key_id

    def public(self) -> DirectoryKey:
        """Return the key's entry in the directory."""
        return DirectoryKey(
            kid=self.kid,
            suite=self.private_key.suite,
            public=self.private_key.public_key.public,
            not_before_ms=self.not_before_ms,
            retire_ms=self.retire_ms,
            destroy_ms=self.destroy_ms,
        )

    def to_json(self) -> dict[str, object]:
        """Return the key's object in the state, with the private key's seed."""
        return {
            "suite": int(self.private_key.suite),
            "seed": b64encode(self.private_key.seed).decode(),
            "not_before_ms": self.not_before_ms,
            "retire_ms": self.retire_ms,
            "destroy_ms": self.destroy_ms,
        }

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Parse the key's object in the state.

        Raises: MalformedError.
        """
        names = ("suite", "seed", "not_before_ms", "retire_ms", "destroy_ms")
        fields = Fields(value, "epoch", names)
        suite, seed = fields.read("suite", parse_suite), fields.base64("seed", SEED_BYTES)
        return cls(
            private_key=OpeningKey(suite=suite, seed=seed),
            not_before_ms=fields.time_ms("not_before_ms"),
            retire_ms=fields.time_ms("retire_ms"),
            destroy_ms=fields.time_ms("destroy_ms"),
        )


class EpochKeys:
    """The epoch keys of a deployment, oldest first; the last are announced. Not thread-safe.

    There are at most `MAX_KEYS`: the oldest ones over that are destroyed.

    `restored`: keys of an earlier process. `advance` creates the missing ones.
    """

    def __init__(self, deployment: Deployment, restored: Iterable[EpochKey] = ()) -> None:
        self._deployment = deployment
        domain = deployment.tee.domain
        self._suites = [Suite.for_domain(domain, name) for name in deployment.suites]
        self._skew_ms = 1000 * deployment.clock_skew_s
        self._epochs = list(restored)
        self._unlogged: list[EpochKey] = []

    def __iter__(self) -> Iterator[EpochKey]:
        """Iterate over all keys that are not destroyed, oldest first."""
        return iter(self._epochs)

    def drain_new_keys(self) -> list[EpochKey]:
        """Return the keys created since the last call, for the log."""
        unlogged, self._unlogged = self._unlogged, []
        return unlogged

    def advance(self, now_ms: int) -> bool:
        """Bring the keys up to the time `now_ms`; return whether one was destroyed or created.

        Afterwards one epoch is in force, one is announced, and none is past its `destroy_ms`:

                         now_ms
            A  |========|..|...|              retired: workers still open with it
            B           |==|=========|......  in force: clients seal to it
            C              |         |======  announced: begins when B retires

        `now_ms`: the host's time in Unix ms. It may jump ahead, and never goes back. Spec:
        keybroker.md, 1.2 and 1.3.
        """
        destroyed = self._destroy_expired(now_ms)
        created = self._create_missing(now_ms)
        return destroyed or created

    def _destroy_expired(self, now_ms: int) -> bool:
        held = len(self._epochs)
        self._epochs = [epoch for epoch in self._epochs if now_ms < epoch.destroy_ms]
        return len(self._epochs) != held

    def _create_missing(self, now_ms: int) -> bool:
        unlogged = len(self._unlogged)
        if not self._epochs:
            self._add(now_ms - self._skew_ms)
        elif now_ms >= self._epochs[-1].retire_ms:
            # Time jumped past the end of the announced epoch.
            self._add(now_ms)
        while now_ms >= self._epochs[-1].not_before_ms:
            self._add(self._epochs[-1].retire_ms)
        return len(self._unlogged) != unlogged

    def rotate(self, now_ms: int) -> None:
        """Start a new epoch now. Earlier keys are retired, and destroyed after the grace time."""
        grace_ms = 1000 * self._deployment.grace_s
        self._epochs = [
            replace(
                epoch,
                not_before_ms=min(epoch.not_before_ms, now_ms),
                retire_ms=min(epoch.retire_ms, now_ms),
                destroy_ms=min(epoch.destroy_ms, now_ms + grace_ms),
            )
            for epoch in self._epochs
        ]
        self._add(now_ms)
        self.advance(now_ms)

    def has_room(self) -> bool:
        """Return whether `rotate`, and the next epoch after it, leave all keys that are held."""
        return len(self._epochs) + 3 * len(self._suites) <= MAX_KEYS

    def destroy(self, kids: Collection[str], now_ms: int) -> bool:
        """Destroy keys now; start a new epoch unless they were all retired.

        Return whether a new epoch began.
        """
        found = [epoch for epoch in self._epochs if epoch.kid in kids]
        self._epochs = [epoch for epoch in self._epochs if epoch.kid not in kids]
        began = any(now_ms < epoch.retire_ms for epoch in found)
        if began:
            self.rotate(now_ms)
        self.advance(now_ms)
        return began

    def _add(self, not_before_ms: int) -> None:
        # The first epoch begins `clock_skew_s` in the past, for clients whose clocks are behind.
        early_ms = 0 if self._epochs else self._skew_ms
        retire_ms = not_before_ms + 1000 * self._deployment.epoch_s + early_ms
        added = [
            EpochKey(
                private_key=OpeningKey.generate(suite),
                not_before_ms=not_before_ms,
                retire_ms=retire_ms,
                destroy_ms=retire_ms + 1000 * self._deployment.grace_s,
            )
            for suite in self._suites
        ]
        self._epochs = [*self._epochs, *added][-MAX_KEYS:]
        self._unlogged += added
