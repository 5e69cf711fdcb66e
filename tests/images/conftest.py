"""Images, built for real with buildah on a base of Debian's own packages, and run with podman.

What is built is kept in `.images`, so that a second run builds only what changed.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.hosts.image_store import PACKAGES, ROOT, ImageStore
from tools.images import IMAGES, version

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def store() -> Iterator[ImageStore]:
    """Give the place of images."""
    missing = [name for name in PACKAGES if shutil.which(name) is None]
    if missing:
        pytest.fail(f"not installed: {', '.join(missing)}; `make e2e-images` does it")
    store = ImageStore.at(ROOT / ".images")
    yield store
    store.run("podman", "image", "unmount", "--all", "--force")


@pytest.fixture(scope="session")
def images(store: ImageStore) -> dict[str, str]:
    """Build all images; gives their names by ours."""
    store.build()
    return {name: f"localhost/sealflow/{name}:{version()}" for name in IMAGES}
