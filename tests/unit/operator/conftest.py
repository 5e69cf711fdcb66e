"""A key folder, made once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from sealflow.operator.components import ClusterNames
from sealflow.operator.key_folder import create_credentials, write_tree

if TYPE_CHECKING:
    from pathlib import Path

SITE = ClusterNames(
    deployment="demo", release="sf", namespace="prod", hosts=(("gateway", "a.example"),)
)


@pytest.fixture(scope="session")
def files() -> dict[str, bytes]:
    """All files of a key folder, with manifests."""
    return create_credentials(SITE, datetime.now(UTC), kubernetes=True)


@pytest.fixture(scope="session")
def folder(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same on disk."""
    path = tmp_path_factory.mktemp("operator") / "keys"
    write_tree(path, files, replace=False)
    return path
