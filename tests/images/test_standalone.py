"""Environments of images hold what packages brought, and nothing of who installed them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tools.setup import standalone

if TYPE_CHECKING:
    from pathlib import Path

DESCRIBED = "lib/python3.11/site-packages/thing-1.0.dist-info"


@pytest.mark.parametrize("name", [*(f"{DESCRIBED}/{each}" for each in standalone.NOTES), ".lock"])
def test_notes_are_removed(tmp_path: Path, name: str) -> None:
    """The name of an installer, times and addresses are removed; a package's own files stay."""
    own = (f"{DESCRIBED}/METADATA", f"{DESCRIBED}/licenses/RECORD", "pyvenv.cfg")
    for each in (*own, name):
        (tmp_path / each).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / each).write_text(each)
    standalone.remove_notes(tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(own)
