"""What the makers make is what lies there."""

from __future__ import annotations

from importlib import import_module

import pytest

from tests.vectors.make.__main__ import MAKERS
from tests.vectors.make.files import FOLDER


@pytest.mark.parametrize("maker", MAKERS)
def test_makers(maker: str) -> None:
    """In every run, and whatever the library does otherwise today."""
    for file in import_module(f"tests.vectors.make.{maker}").files():
        assert file.text() == (FOLDER / file.path).read_text()
