"""Sealing sessions end: with their key, after so many requests, and after so long."""

from __future__ import annotations

import pytest

from sealflow.owner.client.request import request_parts
from sealflow.owner.trust.session import SESSION_MS, SESSION_REQUESTS, ServiceSession
from tests.support.cluster.published_service import NOW_MS, PublishedService


class Client:
    """A client of a published service, on a clock that the test drives."""

    def __init__(self) -> None:
        """Fetch the directory."""
        self.now_ms = NOW_MS
        self.published = PublishedService.create(epoch_s=86_400, directory_s=80_000)
        self.session = ServiceSession(self.published.policy, clock_ms=lambda: self.now_ms)
        document = self.published.document(self.published.with_model())
        self.session.accept(self.session.verify_directory(document))
        self.model = self.session.model("m")
        tensors = {"x": self.published.tensor()}
        self.parts = request_parts(self.model, image=None, tensors=tensors, top_k=None)

    def sealed(self) -> tuple[str, str]:
        """Seal a request; gives its key and session."""
        header = self.session.seal_request(self.model, self.parts, timeout_s=10).header
        return header.key_id, header.session_id


@pytest.fixture(scope="module")
def client() -> Client:
    """One for all tests: each goes on from where the one before it ended."""
    return Client()


def test_a_session_is_shared(client: Client) -> None:
    """Requests of one key share a session, so that the KEM is paid once."""
    assert len({client.sealed() for _ in range(5)}) == 1


def test_after_so_long(client: Client) -> None:
    """A quarter of an hour later there is another, and not a millisecond before."""
    first = client.sealed()
    client.now_ms += SESSION_MS
    began_ms, second = client.now_ms, client.sealed()
    client.now_ms = began_ms + SESSION_MS - 1
    assert client.sealed() == second != first
    client.now_ms += 1
    assert client.sealed() not in (first, second)


def test_a_clock_that_goes_back(client: Client) -> None:
    """A session from the future is not gone on with: nobody knows how old it is."""
    client.now_ms += SESSION_MS
    before = client.sealed()
    client.now_ms -= 1
    assert client.sealed() != before


def test_after_so_many(client: Client) -> None:
    """The last of 2^20 requests shares its session, the next does not."""
    client.now_ms += SESSION_MS
    first = client.sealed()
    client.session._sealed = SESSION_REQUESTS - 1
    assert client.sealed() == first
    assert client.sealed() != first
