"""Refusals are a closed list, with words for people."""

from __future__ import annotations

from sealflow.errors import RefusalCode


def test_every_code_has_a_meaning_of_its_own() -> None:
    """No two codes say the same."""
    assert len({code.meaning for code in RefusalCode}) == len(RefusalCode)
