"""Gramine for real where it is installed: its signer on our manifests, its LibOS under our code.

Run with `make e2e-gramine` on a machine, or in a container, that has Gramine's packages: no archive
of Debian's and no package of PyPI has them, so that `make test` leaves this folder out.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.cluster.local_cluster import sealflow
from tests.support.enclaves.gramine_builds import LOAD, Build, SignedEnclaves
from tests.support.enclaves.gramine_direct import launcher
from tests.support.enclaves.gramine_installation import (
    ROLES,
    EnclaveFolder,
    gramine_folder,
    missing_programs,
    run,
    simulating_templates,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder; the first of them waits until all is built twice."""
    for item in items:
        if "tests/gramine" in item.nodeid:
            item.add_marker(pytest.mark.gramine)
            item.add_marker(pytest.mark.timeout(400))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Say at once what is missing, before the first of many tests fails for it."""
    missing = missing_programs()
    if missing and any(item.get_closest_marker("gramine") for item in session.items):
        pytest.exit(missing, returncode=1)


@pytest.fixture(scope="session")
def site() -> Iterator[SignedEnclaves]:
    """Build enclaves of this checkout."""
    with tempfile.TemporaryDirectory(prefix="sf-gramine-", dir="/tmp") as name:
        folder = Path(name)
        place = EnclaveFolder(folder)
        keys = (folder / "first.pem", folder / "second.pem")
        builds = []
        for key in keys:
            run(*sealflow("keys", "enclave", str(key)))
            place.install()
            place.build()
            measured = place.sign(key)
            manifests = {
                role: (place.enclaves / f"{role}.manifest.sgx").read_bytes() for role in ROLES
            }
            builds.append(Build(manifests=manifests, measured=measured))
        shipped = place.keep("shipped")
        flags = [f"--{name}={value}" for name, value in LOAD.items()]
        place.build(*flags, templates=simulating_templates(folder / "templates"))
        simulated = place.keep("simulated")
        yield SignedEnclaves(
            place=place,
            keys=keys,
            builds=(builds[0], builds[1]),
            shipped=shipped,
            simulated=simulated,
            launch=launcher(folder / "launch", simulated),
        )


def pytest_report_header() -> str:
    """Name the Gramine that is tested."""
    return "no Gramine" if missing_programs() else f"Gramine: {gramine_folder()}"
