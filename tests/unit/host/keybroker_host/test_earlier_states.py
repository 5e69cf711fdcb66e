"""Earlier states: which are kept, and what a return to one changes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import ConfigError
from sealflow.host.broker.keybroker_records import StoredState
from sealflow.host.keybroker_host.earlier_states import HOURLY, NEWEST
from sealflow.host.keybroker_host.state_archive import StateArchive

if TYPE_CHECKING:
    from pathlib import Path

MACHINE = b"m" * 16


def _archive(folder: Path, count: int, *, apart_s: int = 0) -> StateArchive:
    archive = StateArchive(folder, "ab" * 32)
    for number in range(count):
        archive.append([(number, b"record %d" % number)])
        archive.store(StoredState(number=number, state=b"state %d" % number))
        archive.store_key(MACHINE, b"key %d" % number)
        written_s = 1_700_000_000 + number * apart_s
        [inner] = folder.iterdir()
        os.utime(inner / "state", (written_s, written_s))
    return archive


@pytest.mark.parametrize(("apart_s", "older"), [(1, 1), (3600, HOURLY)])
def test_what_is_kept(tmp_path: Path, apart_s: int, older: int) -> None:
    """The newest 8, and one for each hour before, for a day."""
    archive = _archive(tmp_path, 50, apart_s=apart_s)
    numbers = [each.number for each in archive.earlier.listed()]
    assert numbers[:NEWEST] == list(range(49, 49 - NEWEST, -1))
    assert len(numbers) - NEWEST == older


def test_a_return_brings_back_state_and_keys_and_cuts_the_log(tmp_path: Path) -> None:
    """All is as it was then; what came after lies aside, and can be kept anew."""
    _archive(tmp_path, 5).earlier.return_to(2)
    archive = StateArchive(tmp_path, "ab" * 32)
    assert archive.stored() == StoredState(number=2, state=b"state 2")
    assert archive.keys() == [b"key 1"]
    assert (archive.next_number, archive.tail(-1)[-1]) == (3, (2, b"record 2"))
    assert [each.number for each in archive.earlier.listed()] == [2, 1, 0]
    [inner] = tmp_path.iterdir()
    assert (inner / "replaced-5" / "log.jsonl").read_bytes().endswith(b"record 4\n")
    archive.append([(3, b"other")])
    archive.store(StoredState(number=3, state=b"other"))
    assert archive.earlier.listed()[0].number == 3


def test_the_first_state_returns_with_the_key_that_came_after_it(tmp_path: Path) -> None:
    """A log's first state is stored before its key."""
    archive = _archive(tmp_path, 1)
    archive.earlier.return_to(0)
    assert archive.keys() == [b"key 0"]


def test_what_is_not_kept_is_refused(tmp_path: Path) -> None:
    """The error names what is."""
    with pytest.raises(ConfigError, match="state 7 is not kept here; kept are 0, 1"):
        _archive(tmp_path, 2).earlier.return_to(7)
    with pytest.raises(ConfigError, match="kept are none"):
        StateArchive(tmp_path, "cd" * 32).earlier.return_to(0)
