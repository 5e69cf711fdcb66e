"""Worker, pure: the private keys that this worker may open requests with, while it may."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealflow.seal.exchange import SessionSecrets
from sealflow.trusted.worker.replay import SeenIds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealflow.seal.keys import OpeningKey
    from sealflow.wire.ids import KeyId

_SESSIONS: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochKey:
    """A key and the time, in Unix milliseconds, at which it must be gone."""

    opening: OpeningKey
    destroy_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldKey:
    """A key in use and the ids seen under it, which go when it goes."""

    key: EpochKey
    seen: SeenIds = field(repr=False)


class Keyring:
    """Holds keys by their id. Not for several threads."""

    def __init__(self, replay_capacity: int) -> None:
        """Remember at most so many request ids for each key."""
        self._replay_capacity = replay_capacity
        self._held: dict[KeyId, HeldKey] = {}
        self._lease_ms = 0
        self.secrets = SessionSecrets(_SESSIONS)

    def __len__(self) -> int:
        """How many keys are held."""
        return len(self._held)

    def get(self, key_id: KeyId) -> HeldKey | None:
        """Find a key that may still be used."""
        return self._held.get(key_id)

    def replace(self, keys: Iterable[EpochKey], lease_ms: int) -> None:
        """Hold exactly these keys until `lease_ms`; those that stay keep what they have seen."""
        granted = {key.opening.sealing.key_id: key for key in keys}
        for key_id in [key_id for key_id in self._held if key_id not in granted]:
            self._drop(key_id)
        for key_id, key in granted.items():
            held = self._held.get(key_id)
            seen = held.seen if held else SeenIds(self._replay_capacity, key.destroy_ms)
            self._held[key_id] = HeldKey(key=key, seen=seen)
        self._lease_ms = lease_ms

    def expire(self, now_ms: int) -> None:
        """Drop the keys whose time is over, and all of them when the lease is."""
        over = now_ms >= self._lease_ms
        for key_id in [
            key_id for key_id, held in self._held.items() if over or now_ms >= held.key.destroy_ms
        ]:
            self._drop(key_id)

    def _drop(self, key_id: KeyId) -> None:
        del self._held[key_id]
        self.secrets.forget(key_id)
