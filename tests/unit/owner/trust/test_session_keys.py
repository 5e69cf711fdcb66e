"""Which key of a directory a client seals to: of its first suite there, the newest."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.attest.suites import SuiteName
from sealflow.documents.directory import DirectoryKey, SignedDirectory
from sealflow.errors import UnavailableError
from sealflow.owner import Revoked, RevokedKind
from sealflow.owner.client.request import request_parts
from sealflow.owner.trust.session import ServiceSession
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.wire.domain import TrustDomain
from sealflow.wire.strict_json import canonical_json
from tests.support.cluster.published_service import NOW_MS, PublishedService

if TYPE_CHECKING:
    from sealflow.owner import TrustPolicy

X_WING, X25519 = SuiteName.X_WING, SuiteName.X25519
HOUR_MS = 3_600_000
SERVICE = PublishedService.create()


def key(name: SuiteName, begin_ms: int = NOW_MS, end_ms: int = NOW_MS + HOUR_MS) -> DirectoryKey:
    """A key of a suite that counts from one time to another."""
    sealing = OpeningKey.generate(Suite.for_domain(TrustDomain.SIMULATED, name)).public_key
    return DirectoryKey(
        kid=sealing.key_id,
        suite=sealing.suite,
        public=sealing.public,
        not_before_ms=begin_ms,
        retire_ms=end_ms,
        destroy_ms=end_ms + HOUR_MS,
    )


def chosen(
    *keys: DirectoryKey,
    suites: tuple[SuiteName, ...] = (X_WING, X25519),
    at_ms: int = NOW_MS,
    **changes: Any,
) -> str:
    """The id of the key that a client takes."""
    directory = replace(SERVICE.with_model(), keys=keys, **changes)
    policy = replace(SERVICE.policy, suites=suites)
    return chosen_from(SERVICE.document(directory), policy, at_ms)


def chosen_from(document: bytes, policy: TrustPolicy, at_ms: int = NOW_MS) -> str:
    """The id of the key that a client takes from a published document."""
    session = ServiceSession(policy, clock_ms=lambda: at_ms)
    session.accept(session.verify_directory(document))
    model = session.model("m")
    parts = request_parts(model, image=None, tensors={"x": SERVICE.tensor()}, top_k=None)
    return session.seal_request(model, parts, timeout_s=10).header.key_id


def test_the_newest_key() -> None:
    """Of several keys in force, the one that began last is taken."""
    old, new, announced = (key(X25519, NOW_MS + after_ms) for after_ms in (-2, -1, 1))
    assert chosen(old, new, announced) == new.kid
    assert chosen(announced, new, old) == new.kid


def test_the_order_of_suites() -> None:
    """A key of the client's first suite is taken, older or newer; its list may leave suites out."""
    wing, curve = key(X_WING), key(X25519)
    assert chosen(curve, wing) == wing.kid
    assert chosen(curve, wing, suites=(X25519, X_WING)) == curve.kid
    assert chosen(curve, wing, suites=(X25519,)) == curve.kid
    older = key(X_WING, NOW_MS - 1)
    assert chosen(curve, older) == chosen(curve, older, suites=(X_WING,)) == older.kid


def test_equal_keys() -> None:
    """Of keys of one time and suite, the least key id is taken."""
    one, other = key(X25519), key(X25519)
    assert chosen(one, other) == chosen(other, one) == min(one.kid, other.kid)


def test_a_clock_that_is_behind() -> None:
    """A client whose clock is behind counts from the directory's time."""
    old = key(X_WING, NOW_MS - HOUR_MS, NOW_MS)
    new = key(X_WING, NOW_MS)
    assert chosen(old, new, at_ms=NOW_MS - 1) == new.kid


def test_revoked_keys() -> None:
    """A key that the directory calls revoked is not taken, though it is still listed."""
    bad, good = key(X_WING, NOW_MS), key(X_WING, NOW_MS - 1)
    revoked = (Revoked(kind=RevokedKind.KEY, id=bad.kid),)
    assert chosen(bad, good, revoked=revoked) == good.kid


@pytest.mark.parametrize(
    ("begin_ms", "end_ms"), [(NOW_MS + 1, NOW_MS + 2), (NOW_MS - 1, NOW_MS), (NOW_MS, NOW_MS)]
)
def test_no_key(begin_ms: int, end_ms: int) -> None:
    """Where no key counts, nothing is sealed."""
    with pytest.raises(UnavailableError, match="no active key"):
        chosen(key(X_WING, begin_ms, end_ms))


def test_no_key_of_an_accepted_suite() -> None:
    """A policy that demands X-Wing never seals to X25519."""
    with pytest.raises(UnavailableError, match=r"\(x-wing\)"):
        chosen(key(X25519), suites=(X_WING,))


def test_a_suite_of_a_later_release() -> None:
    """A key of a suite that the client does not know is left out; the known one is taken."""
    known = key(X_WING)
    directory = replace(SERVICE.with_model(), keys=(known,))
    payload = json.loads(directory.to_bytes())
    later = {**payload["keys"][0], "suite": 0xF003, "kid": "sim-" + "ab" * 32}
    payload["keys"].insert(0, {**later, "public": b64encode(bytes(2000)).decode()})
    encoded = canonical_json(payload)
    signature = SERVICE.signing.sign(TrustDomain.SIMULATED.label("directory") + encoded)
    signed = SignedDirectory(payload=encoded, signature=signature, evidence=SERVICE.evidence())
    assert chosen_from(signed.to_bytes(), SERVICE.policy) == known.kid
