"""What runs inside the enclave is known: which modules, which packages, how many lines."""

from __future__ import annotations

import pytest

from tools.tcb import (
    CORE_BUDGETS,
    ENTRIES,
    OWN_BUDGETS,
    THIRD_PARTY,
    closure,
    count_code,
    page,
)


@pytest.mark.parametrize("process", ENTRIES)
def test_lines(process: str) -> None:
    """A trusted process and the core in it have fewer lines of code than their budgets."""
    found = closure(ENTRIES[process])
    assert found.own <= OWN_BUDGETS[process]
    assert found.core <= CORE_BUDGETS[process]


def test_what_counts_as_a_line() -> None:
    """Code counts, also over several lines; blank lines, comments and docstrings do not."""
    text = '"""Doc."""\n\n# why\nx = (\n    1,  # one\n)\n\n'
    text += 'def f():\n    """Doc\n\n    more."""\n    return """a\n\nb"""\n'
    assert count_code(text) == 3 + 1 + 3


@pytest.mark.parametrize("process", ENTRIES)
def test_third_party(process: str) -> None:
    """A trusted process imports the packages on its list, and no others."""
    assert closure(ENTRIES[process]).third_party == THIRD_PARTY[process]


@pytest.mark.parametrize("process", ENTRIES)
def test_zones(process: str) -> None:
    """A trusted process holds nothing of the host, the owners or the command line."""
    outside = (
        "sealflow.files",
        "sealflow.clock",
        "sealflow.defects",
        "sealflow.host",
        "sealflow.owner",
        "sealflow.streams",
        "sealflow.local",
        "sealflow.cli",
    )
    assert [name for name in closure(ENTRIES[process]).lines if name.startswith(outside)] == []


def test_closure_follows_imports_within_functions() -> None:
    """The closure sees late imports and parent packages, and not imports for types only."""
    found = closure("sealflow.owner.client.client")
    assert "sealflow.owner.models.publish" in found.lines
    assert "sealflow.owner" in found.lines
    assert "sealflow.cli.main" not in found.lines


def test_page() -> None:
    """The page names every module and every package with its version."""
    text = page()
    for process, entry in ENTRIES.items():
        assert f"`{entry}`" in text
        assert f"| {process} | " in text
    assert "| simplejpeg | " in text
