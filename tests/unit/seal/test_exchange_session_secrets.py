"""The memory of session secrets: bounded, and poisoned by nobody."""

from __future__ import annotations

import pytest

from sealflow.errors import OpenError
from sealflow.seal.exchange import Session, SessionSecrets
from sealflow.seal.keys import Suite
from sealflow.wire.ids import KeyId
from tests.support.sealing.sealed_sessions import start_session


def test_a_planted_session_blob_does_not_poison_the_memory_of_secrets() -> None:
    """Another client's blob under the same session id is another entry."""
    both, attacker = start_session(), start_session()
    blob = attacker.key.public_key.seal(b"x" * 32, b"whatever")
    with pytest.raises(OpenError):
        both.secrets.open_or_recall(both.key, both.session.session_id, blob)
    both.open(both.call().envelope)


def test_a_session_secret_of_the_wrong_length_is_refused() -> None:
    """Only 32 bytes are a secret."""
    both = start_session(Suite.X25519)
    info = b"sealflow/1 session\0"
    for part in (both.key.public_key.key_id, both.session.session_id):
        info += len(part).to_bytes(4) + part.encode()
    with pytest.raises(OpenError):
        both.secrets.open_or_recall(
            both.key, both.session.session_id, both.key.public_key.seal(b"short", info)
        )


def test_the_memory_of_secrets_is_bounded_and_forgets_with_its_key() -> None:
    """Least recently used sessions go first; a destroyed key takes all of its sessions along."""
    both = start_session(Suite.X25519)
    secrets = SessionSecrets(2)
    for _ in range(3):
        other = Session.start(both.key.public_key)
        secrets.open_or_recall(both.key, other.session_id, other.key_blob)
        secrets.open_or_recall(both.key, other.session_id, other.key_blob)
    assert len(secrets) == 2
    secrets.forget(KeyId("00" * 32))
    assert len(secrets) == 2
    secrets.forget(both.key.public_key.key_id)
    assert len(secrets) == 0


def test_the_least_recently_used_secret_goes_first() -> None:
    """A secret that is remembered is the very same, and using it keeps it."""
    both = start_session(Suite.X25519)
    secrets = SessionSecrets(2)
    first, second, third = (Session.start(both.key.public_key) for _ in range(3))

    def secret(session: Session) -> bytes:
        return secrets.open_or_recall(both.key, session.session_id, session.key_blob)

    kept, dropped = secret(first), secret(second)
    assert secret(first) is kept
    secret(third)
    assert secret(first) is kept
    assert secret(second) == dropped
    assert secret(second) is not dropped
