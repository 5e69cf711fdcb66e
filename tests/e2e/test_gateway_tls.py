"""The gateway with TLS: who it is, is checked; what a plain client sends is no request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from sealflow.errors import UnavailableError
from sealflow.owner import AsyncClient, Client
from tests.support.cluster.local_cluster import TINY, LocalCluster
from tests.support.network.certificate_authority import CertificateAuthority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

X = {"x": [[1.0, 2.0, 3.0, 4.0]]}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    """Who signs the gateway's certificate."""
    return CertificateAuthority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def secured(authority: CertificateAuthority) -> Iterator[LocalCluster]:
    """A cluster whose gateway speaks TLS alone."""
    pair = authority.issue("gateway", host="localhost")
    files = ("--tls-certificate", str(pair.certificate), "--tls-key", str(pair.key))
    root = ("--host", "localhost", "--tls-ca", str(authority.root))
    with LocalCluster(TINY, options=(*files, *root)) as running:
        yield running


async def test_both_clients(secured: LocalCluster, authority: CertificateAuthority) -> None:
    """With the root, threads and event loops are served."""
    assert secured.url.startswith("https://localhost:")
    with Client(secured.url, policy=secured.policy, ca=authority.root) as client:
        assert client.infer("tiny", tensors=X).outputs["probabilities"].shape == (1, 3)
    async with AsyncClient(secured.url, policy=secured.policy, ca=authority.root) as other:
        assert (await other.infer("tiny", tensors=X)).simulated


def test_another_root(secured: LocalCluster, tmp_path: Path) -> None:
    """A certificate of another root is not taken, nor is the system's word for this one."""
    for ca in (CertificateAuthority(tmp_path / "other").root, None):
        with (
            Client(secured.url, policy=secured.policy, ca=ca) as client,
            pytest.raises(UnavailableError, match="CERTIFICATE_VERIFY_FAILED"),
        ):
            client.verify()


def test_another_name(secured: LocalCluster, authority: CertificateAuthority) -> None:
    """The certificate is good for its name alone."""
    url = secured.url.replace("localhost", "127.0.0.1")
    with (
        Client(url, policy=secured.policy, ca=authority.root) as client,
        pytest.raises(UnavailableError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.verify()


def test_plain_http(secured: LocalCluster) -> None:
    """Who does not speak TLS gets no answer."""
    with pytest.raises(httpx.HTTPError):
        httpx.get(secured.url.replace("https", "http") + "/v1/directory", timeout=10)
