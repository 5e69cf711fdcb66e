"""Core: the secrets that sessions share, as workers remember them. Spec: exchange.md, 5."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from sealflow.errors import OpenError
from sealflow.wire.domain import prefixed

if TYPE_CHECKING:
    from sealflow.seal.keys import OpeningKey
    from sealflow.wire.domain import World
    from sealflow.wire.ids import KeyId, SessionId

SECRET_BYTES: Final = 32


class SessionSecrets:
    """The worker's bounded memory of session secrets: saves the KEM for all but the first request.

    Keyed by key, session and blob, so that nobody can plant a secret under another's session.
    """

    def __init__(self, capacity: int) -> None:
        """Keep at most `capacity` secrets, the least recently used go first."""
        self._capacity = capacity
        self._secrets: OrderedDict[tuple[KeyId, SessionId, bytes], bytes] = OrderedDict()

    def __len__(self) -> int:
        """How many secrets are kept."""
        return len(self._secrets)

    def secret(self, key: OpeningKey, session_id: SessionId, blob: bytes) -> bytes:
        """Open the session's blob, or remember it.

        Raises: OpenError.
        """
        kid = key.sealing.key_id
        index = (kid, session_id, blob)
        secret = self._secrets.get(index)
        if secret is None:
            secret = key.open(blob, session_info(key.suite.world, kid, session_id))
            if len(secret) != SECRET_BYTES:
                raise OpenError
            self._secrets[index] = secret
            if len(self._secrets) > self._capacity:
                self._secrets.popitem(last=False)
        else:
            self._secrets.move_to_end(index)
        return secret

    def forget(self, key_id: KeyId) -> None:
        """Drop all secrets that came sealed to a key, when the key goes."""
        for index in [index for index in self._secrets if index[0] == key_id]:
            del self._secrets[index]


def session_info(world: World, kid: KeyId, session_id: SessionId) -> bytes:
    """What a session's secret is sealed for: its world, its key and its own id."""
    return world.label("session") + prefixed(kid.encode(), session_id.encode())
