"""Cipher suites in whole clusters: X25519 alone, both side by side, and a change of settings."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import PolicyError, UnavailableError
from sealflow.owner import (
    Client,
    EntryKind,
    InputQueue,
    OutputQueue,
    SuiteName,
    audit_log,
    load_policy,
    verify_receipt,
)
from sealflow.owner.client.request import request_parts
from sealflow.seal.keys import Suite, parse_suite
from tests.support.cluster.local_cluster import TINY, LocalCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

X = {"x": [[1.0, 2.0, 3.0, 4.0]]}
X_WING, X25519 = SuiteName.X_WING, SuiteName.X25519
XWING_MORE_BYTES = 1088
"""The ML-KEM-768 ciphertext in a key blob."""


def _options(*suites: SuiteName) -> tuple[str, ...]:
    return ("--workers", "1", *(word for name in suites for word in ("--suite", name)))


@pytest.fixture(scope="module")
def curve() -> Iterator[LocalCluster]:
    """A cluster without X-Wing."""
    with LocalCluster(TINY, options=_options(X25519)) as running:
        yield running


def _client(cluster: LocalCluster, *suites: SuiteName) -> Client:
    return Client(cluster.url, policy=replace(load_policy(cluster.policy), suites=suites))


def _suite_of_a_request(client: Client) -> SuiteName:
    """Ask for a receipt; give the suite of the key that it names."""
    proof = client.infer("tiny", tensors=X, receipt=True).receipt
    assert proof is not None
    log = audit_log(client.fetch_log(), client._session._policy)
    kid = verify_receipt(proof, log).receipt.key_id
    [epoch] = [
        each.body
        for each in log.entries
        if each.kind is EntryKind.EPOCH and each.body["kid"] == kid
    ]
    return parse_suite(epoch["suite"]).suite_name


def _sizes(client: Client) -> dict[str, int]:
    """The bytes of a request of one row, and of the published directory."""
    client.verify()
    session = client._session
    model = session.model("tiny")
    parts = request_parts(model, image=None, tensors=X, top_k=None)
    call = session.seal_request(model, parts, timeout_s=10)
    assert session.verified is not None
    return {
        "request": len(call.envelope),
        "directory": len(session.verified.directory.to_bytes()),
        "keys": len(session.verified.directory.keys),
    }


def test_x25519_from_end_to_end(curve: LocalCluster) -> None:
    """Requests, receipts, grants and evidence go by X25519 where the settings say so."""
    with curve.client() as client:
        assert _suite_of_a_request(client) is X25519
        records = audit_log(client.fetch_log(), load_policy(curve.policy))
        epochs = [each.body["suite"] for each in records.entries if each.kind is EntryKind.EPOCH]
        assert set(epochs) == {Suite.SIMULATED_X25519}
        verified = client._session.verified
        assert verified is not None
        assert verified.approval.claims.bound.sealing_suite == Suite.SIMULATED_X25519
        assert '"suites":["x25519"]' in (curve.home / "deployment.json").read_text()
    with _client(curve, X_WING) as strict, pytest.raises(UnavailableError, match=r"\(x-wing\)"):
        strict.infer("tiny", tensors=X, timeout_s=10)


def test_x25519_through_the_queue(curve: LocalCluster) -> None:
    """Clients of the queue choose the key in the same way."""
    with curve.queue() as queue:
        InputQueue(queue, "tiny").enqueue("one", x=X["x"])
        assert OutputQueue(queue).query("one", timeout_s=30) is not None


def test_both_suites_and_a_change_of_settings(curve: LocalCluster) -> None:
    """Clients that know one suite and clients that know both are served at the same time.

    A deployment whose settings change is another one: its old policy fits no more.
    """
    home = Path(tempfile.mkdtemp(prefix="sf-", dir="/tmp"))
    before = LocalCluster(TINY, options=_options(X_WING), home=home)
    with before.client() as client:
        alone = _sizes(client)
        old = load_policy(before.policy)
    assert before.stop(keep_home=True) == 0
    with LocalCluster(TINY, options=_options(X_WING, X25519), home=home) as both:
        for suites, wanted in (
            ((X_WING,), X_WING),
            ((X25519,), X25519),
            ((X_WING, X25519), X_WING),
            ((X25519, X_WING), X25519),
        ):
            with _client(both, *suites) as client:
                assert _suite_of_a_request(client) is wanted
        with Client(both.url, policy=old) as client, pytest.raises(PolicyError) as caught:
            client.infer("tiny", tensors=X)
        assert [each.code for each in caught.value.mismatches] == ["manifest_digest"]
        with both.client() as client, curve.client() as small:
            mixed, least = _sizes(client), _sizes(small)
    assert mixed["request"] == alone["request"] == least["request"] + XWING_MORE_BYTES
    assert (least["keys"], alone["keys"], mixed["keys"]) == (2, 2, 4)
    assert least["directory"] < alone["directory"] < mixed["directory"]
