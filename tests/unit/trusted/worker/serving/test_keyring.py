"""Keys go when their time is over, and with them all that came sealed to them."""

from __future__ import annotations

import pytest

from sealflow.errors import OpenError, RefusedError
from sealflow.seal.content import ContentKind, content_parts
from sealflow.seal.exchange import OutgoingCall, Session, open_request
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.trusted.worker.serving.keyring import EpochPrivateKey, Keyring, LeaseUse
from sealflow.wire.envelope import DEFAULT_MAX_BODY_BYTES, Envelope
from sealflow.wire.ids import ModelRef, new_request_id

MODEL = ModelRef(name="m", version="1")
FOREVER = 2**53


def _key(destroy_ms: int) -> EpochPrivateKey:
    return EpochPrivateKey(
        private_key=OpeningKey.generate(Suite.SIMULATED_X25519), destroy_ms=destroy_ms
    )


def _call(key: EpochPrivateKey) -> OutgoingCall:
    session = Session.start(key.private_key.public_key)
    parts = content_parts(ContentKind.INFER, b"{}")
    return session.seal_request(MODEL, "a" * 64, parts, deadline_ms=1)


def _open(keyring: Keyring, call: OutgoingCall) -> None:
    envelope = Envelope.from_bytes(call.envelope, max_body_bytes=DEFAULT_MAX_BODY_BYTES)
    held = keyring.get(envelope.request_header.key_id)
    assert held is not None
    open_request(envelope, held.key.private_key, keyring.secrets)


def _held(keyring: Keyring, key: EpochPrivateKey) -> bool:
    return keyring.get(key.private_key.public_key.key_id) is not None


def test_it_starts_empty() -> None:
    """Without a grant nothing can be opened."""
    keyring = Keyring(10)
    assert len(keyring) == 0
    assert not _held(keyring, _key(FOREVER))


def test_keys_go_at_their_time() -> None:
    """A key is there until its last millisecond and gone at it; the others stay."""
    keyring, early, late = Keyring(10), _key(1000), _key(2000)
    keyring.replace([early, late], lease_ms=FOREVER, use=LeaseUse())
    keyring.expire(999)
    assert (_held(keyring, early), _held(keyring, late)) == (True, True)
    keyring.expire(1000)
    assert (_held(keyring, early), _held(keyring, late)) == (False, True)


def test_all_keys_go_with_the_lease() -> None:
    """A worker that its key broker forgot opens nothing more."""
    keyring = Keyring(10)
    keyring.replace([_key(FOREVER), _key(FOREVER)], lease_ms=5000, use=LeaseUse())
    keyring.expire(4999)
    assert len(keyring) == 2
    keyring.expire(5000)
    assert len(keyring) == 0


def test_a_renewed_lease_counts() -> None:
    """The same keys with a later lease are held until then."""
    keyring, key = Keyring(10), _key(FOREVER)
    keyring.replace([key], lease_ms=5000, use=LeaseUse())
    keyring.replace([key], lease_ms=9000, use=LeaseUse())
    keyring.expire(5000)
    assert _held(keyring, key)


def test_a_new_grant_replaces_what_was() -> None:
    """Keys that are not granted again go at once."""
    keyring, old, stays, new = Keyring(10), _key(FOREVER), _key(FOREVER), _key(FOREVER)
    keyring.replace([old, stays], lease_ms=FOREVER, use=LeaseUse())
    keyring.replace([stays, new], lease_ms=FOREVER, use=LeaseUse())
    assert [_held(keyring, key) for key in (old, stays, new)] == [False, True, True]


def test_seen_ids_survive_a_new_grant() -> None:
    """What was answered before a renewal is a replay after it, under the same key only."""
    keyring, key = Keyring(10), _key(FOREVER)
    other = _key(FOREVER)
    keyring.replace([key], lease_ms=FOREVER, use=LeaseUse())
    request_id = new_request_id()
    held = keyring.get(key.private_key.public_key.key_id)
    assert held is not None
    held.seen.remember(request_id, 10_000)
    again = EpochPrivateKey(private_key=key.private_key, destroy_ms=FOREVER - 1)
    keyring.replace([again, other], lease_ms=FOREVER, use=LeaseUse())
    held = keyring.get(key.private_key.public_key.key_id)
    assert held is not None
    assert held.key is again
    with pytest.raises(RefusedError, match="replayed"):
        held.seen.check(request_id, 0)
    fresh = keyring.get(other.private_key.public_key.key_id)
    assert fresh is not None
    fresh.seen.check(request_id, 0)


def test_session_secrets_go_with_their_key() -> None:
    """A secret that came sealed to a key is forgotten when the key goes, not before."""
    keyring, early, late = Keyring(10), _key(1000), _key(2000)
    keyring.replace([early, late], lease_ms=FOREVER, use=LeaseUse())
    for key in (early, early, late):
        _open(keyring, _call(key))
    assert len(keyring.secrets) == 3
    keyring.expire(1000)
    assert len(keyring.secrets) == 1
    keyring.replace([], lease_ms=FOREVER, use=LeaseUse())
    assert len(keyring.secrets) == 0


def test_what_does_not_open_leaves_no_secret() -> None:
    """A blob sealed to another key is not remembered."""
    keyring, key, other = Keyring(10), _key(FOREVER), _key(FOREVER)
    keyring.replace([key], lease_ms=FOREVER, use=LeaseUse())
    call = _call(other)
    envelope = Envelope.from_bytes(call.envelope, max_body_bytes=DEFAULT_MAX_BODY_BYTES)
    with pytest.raises(OpenError):
        open_request(envelope, key.private_key, keyring.secrets)
    assert len(keyring.secrets) == 0


def test_nothing_secret_shows() -> None:
    """Neither a key's seed nor the ids seen under it stand in a repr."""
    keyring, key = Keyring(10), _key(FOREVER)
    keyring.replace([key], lease_ms=FOREVER, use=LeaseUse())
    held = keyring.get(key.private_key.public_key.key_id)
    text = repr(held)
    assert repr(key.private_key.seed)[2:-1] not in text
    assert "seen" not in text


def test_all_keys_go_when_the_lease_is_used_up() -> None:
    """A count ends a lease that no clock ends; a new grant brings the keys back."""
    keyring, key = Keyring(10), _key(FOREVER)
    keyring.replace([key], lease_ms=FOREVER, use=LeaseUse(most_requests=2))
    keyring.count(1)
    keyring.expire(0)
    assert len(keyring) == 1
    keyring.count(1)
    assert len(keyring) == 0
    keyring.replace([key], lease_ms=FOREVER, use=LeaseUse())
    keyring.expire(0)
    assert len(keyring) == 1


def test_a_lease_is_used_by_requests_or_by_bytes() -> None:
    """Whichever bound is reached first, in halves and whole."""
    by_requests, by_bytes = LeaseUse(4, 10**9), LeaseUse(10**9, 400)
    seen = []
    for _ in range(4):
        by_requests.count(1)
        by_bytes.count(100)
        seen.append((by_requests.is_used(2), by_requests.is_used()))
        assert (by_bytes.is_used(2), by_bytes.is_used()) == seen[-1]
    assert seen == [(False, False), (True, False), (True, False), (True, True)]
