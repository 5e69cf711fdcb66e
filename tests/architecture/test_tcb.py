"""What runs inside the wall is known: which modules, which packages, how many lines."""

from __future__ import annotations

import pytest

from tools.tcb import ENTRIES, LINE_BUDGETS, THIRD_PARTY, Closure, closure, exists, page

OVER_BUDGET = pytest.mark.xfail(
    reason="over the line budget, see docs/tcb.md: delete this mark once it fits", strict=True
)


def inside(process: str) -> Closure:
    """Give the modules of a process."""
    if not exists(ENTRIES[process]):
        pytest.skip(f"{ENTRIES[process]} does not exist yet")
    return closure(ENTRIES[process])


@pytest.mark.parametrize(
    "process",
    [pytest.param("worker", marks=OVER_BUDGET), pytest.param("key broker", marks=OVER_BUDGET)],
)
def test_lines(process: str) -> None:
    """A trusted process has fewer lines of ours, core included, than its budget."""
    assert inside(process).total <= LINE_BUDGETS[process]


@pytest.mark.parametrize("process", ENTRIES)
def test_third_party(process: str) -> None:
    """A trusted process imports the packages on its list, and no others."""
    assert inside(process).third_party == THIRD_PARTY[process]


@pytest.mark.parametrize("process", ENTRIES)
def test_zones(process: str) -> None:
    """A trusted process holds nothing of the host, the owners or the command line."""
    outside = ("sealflow.host", "sealflow.owner", "sealflow.cli")
    assert [name for name in inside(process).lines if name.startswith(outside)] == []


def test_closure_follows_imports_within_functions() -> None:
    """The closure sees late imports and parent packages, and not imports for types only."""
    found = closure("sealflow.owner.client")
    assert "sealflow.owner.provisioning" in found.lines
    assert "sealflow.owner" in found.lines
    assert "sealflow.cli.main" not in found.lines


def test_page() -> None:
    """The page names every module and every package with its version."""
    text = page()
    for process, entry in ENTRIES.items():
        assert f"`{entry}`" in text
        assert f"| {process} | " in text
    assert "| opencv-python-headless | " in text
