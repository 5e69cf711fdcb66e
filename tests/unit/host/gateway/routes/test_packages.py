"""Model packages on disk, by way of a gateway."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.cluster.gateway import GatewayProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.support.queue.server import QueueServer

DIGEST = "0a" * 32


def put(
    gateway: GatewayProcess, content: bytes | Iterator[bytes], name: str = DIGEST
) -> httpx.Response:
    """Store a package."""
    return gateway.http.put(f"/v1/packages/{name}", content=content)


@pytest.fixture
def package_folder(gateway: GatewayProcess, queue: QueueServer) -> Iterator[Path]:
    """The folder of packages; empty in the end."""
    folder = Path(queue.folder) / "packages"
    yield folder
    for each in folder.iterdir():
        each.unlink()


def test_packages(gateway: GatewayProcess, package_folder: Path) -> None:
    """Packages are stored whole and private; what is there is replaced by nothing else."""
    assert put(gateway, b"b" * 1000, "0b" * 32).json() == {"digest": "0b" * 32, "bytes": 1000}
    assert put(gateway, iter([b"a" * 70_000] * 9)).status_code == 201
    assert put(gateway, b"new").status_code == 409
    assert put(gateway, b"a" * 630_000).status_code == 200
    assert (package_folder / f"{DIGEST}.sealed").read_bytes() == b"a" * 630_000
    assert (package_folder / f"{DIGEST}.sealed").stat().st_mode & 0o777 == 0o600
    assert len(list(package_folder.iterdir())) == 2
    assert gateway.http.get("/v1/packages").json() == {"packages": []}


@pytest.mark.parametrize("announced", [True, False])
def test_packages_too_large(
    gateway: GatewayProcess, package_folder: Path, *, announced: bool
) -> None:
    """A package over the limit leaves nothing behind, whether its length was announced or not."""
    content = bytes(2**20 + 1)
    pieces = iter([content[:1000], content[1000:]])
    answer = put(gateway, content if announced else pieces)
    assert answer.status_code == 413
    assert "max_package_bytes" in answer.json()["error"]
    assert list(package_folder.iterdir()) == []


def test_package_that_breaks_off(gateway: GatewayProcess, package_folder: Path) -> None:
    """An upload whose client leaves in the middle is thrown away; what was there stays."""
    put(gateway, b"whole")
    with gateway.raw() as connection:
        head = f"PUT /v1/packages/{DIGEST} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nhalf"
        connection.sendall(head.encode())
        until = time.monotonic() + 20
        while not list(package_folder.glob("*.part")):
            assert time.monotonic() < until
    while list(package_folder.glob("*.part")):
        assert time.monotonic() < until
    assert (package_folder / f"{DIGEST}.sealed").read_bytes() == b"whole"


@pytest.mark.parametrize("name", ["zz" * 32, "0A" * 32, "", "0a", "..%2f..%2fetc", "%00" * 64])
def test_names_of_no_package(gateway: GatewayProcess, package_folder: Path, name: str) -> None:
    """Only a digest names a package: nothing is written anywhere else."""
    answer = put(gateway, b"x", name)
    assert answer.status_code in (400, 404)
    assert list(package_folder.iterdir()) == []


def test_disk_that_refuses(gateway: GatewayProcess, package_folder: Path) -> None:
    """A package that cannot be put in its place is a failure of this side, to be tried again."""
    (package_folder / f"{DIGEST}.sealed").mkdir()
    try:
        answer = put(gateway, b"x")
    finally:
        (package_folder / f"{DIGEST}.sealed").rmdir()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert "could not be stored" in answer.json()["error"]


def test_without_a_folder(queue: QueueServer) -> None:
    """A gateway without a folder has no packages, and says how to give it one."""
    with GatewayProcess(queue) as plain:
        for answer in (put(plain, b"x"), plain.http.get("/v1/packages")):
            assert answer.status_code == 404
            assert "packages_dir" in answer.json()["error"]
