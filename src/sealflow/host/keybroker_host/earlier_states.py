"""Host: earlier sealed states with their sealed keys, and the return to one of them.

A state that does not open ends the key broker. The operator then starts from an earlier one.
Workers that saw a later directory leave; clients that did refuse what follows. Spec: keybroker.md,
5.9.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from sealflow.errors import ConfigError
from sealflow.files import file_errors

if TYPE_CHECKING:
    from pathlib import Path

_log = structlog.get_logger()

NEWEST: Final = 8
HOURLY: Final = 24
_HOUR_S: Final = 3600
_DIGITS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierState:
    """A kept state: the number of its newest log record, and when it was written, in Unix s."""

    number: int
    written_s: int


class EarlierStates:
    """The newest 8 states of an instance, and one for each hour of the last 24 that had any.

    Each is a folder of hard links: no state is copied. `folder`: of the instance's archive.
    """

    def __init__(self, folder: Path) -> None:
        self._archive = folder
        self._folder = folder / "earlier"

    def keep(self, number: int) -> None:
        """Keep the archive's present state and sealed keys, and delete those no longer kept.

        A folder that cannot be written is logged, and keeps nothing.
        """
        try:
            self._keep(number)
        except OSError as error:
            _log.warning("the state is not kept for later", number=number, error=str(error))

    def _keep(self, number: int) -> None:
        target = self._folder / f"{number:0{_DIGITS}}"
        shutil.rmtree(target, ignore_errors=True)
        (target / "keys").mkdir(mode=0o700, parents=True)
        _link(self._archive / "state", target / "state")
        for key in (self._archive / "keys").iterdir():
            _link(key, target / "keys" / key.name)
        for each in self._surplus():
            shutil.rmtree(self._folder / f"{each.number:0{_DIGITS}}", ignore_errors=True)

    def listed(self) -> list[EarlierState]:
        """Return the kept states, newest first."""
        if not self._folder.is_dir():
            return []
        found = [
            EarlierState(number=int(path.name), written_s=int((path / "state").stat().st_mtime))
            for path in self._folder.iterdir()
            if path.name.isdecimal() and (path / "state").exists()
        ]
        return sorted(found, key=lambda each: each.number, reverse=True)

    def return_to(self, number: int) -> None:
        """Put a kept state and its keys in the place of the present ones, and cut the log after it.

        What is replaced moves to the folder `replaced-N` beside them, where N is its number of log
        records.

        Raises: ConfigError when the state is not kept, or the files cannot be moved.
        """
        kept = {each.number for each in self.listed()}
        if number not in kept:
            listed = ", ".join(map(str, sorted(kept))) or "none"
            raise ConfigError(f"state {number} is not kept here; kept are {listed}")
        source, log = self._folder / f"{number:0{_DIGITS}}", self._archive / "log.jsonl"
        with file_errors(f"archive {self._archive}"):
            lines = log.read_bytes().splitlines(keepends=True)
            if len(lines) <= number:
                raise ConfigError(f"the log in {log} has no record {number}: fetch it first")
            replaced = self._archive / f"replaced-{len(lines)}"
            replaced.mkdir(mode=0o700)
            log.rename(replaced / "log.jsonl")
            log.write_bytes(b"".join(lines[: number + 1]))
            for name in ("state", "keys"):
                (self._archive / name).rename(replaced / name)
            shutil.copy2(source / "state", self._archive / "state")
            # The first state of a log was stored before its key.
            for keys in (replaced / "keys", source / "keys"):
                shutil.copytree(keys, self._archive / "keys", dirs_exist_ok=True)
            for each in self.listed():
                if each.number > number:
                    later = self._folder / f"{each.number:0{_DIGITS}}"
                    later.rename(replaced / later.name)

    def _surplus(self) -> list[EarlierState]:
        states = self.listed()
        hours: dict[int, EarlierState] = {}
        for each in states[NEWEST:]:
            hours.setdefault(each.written_s // _HOUR_S, each)
        kept = {each.number for each in (*states[:NEWEST], *list(hours.values())[:HOURLY])}
        return [each for each in states if each.number not in kept]


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        # Some file systems have no hard links.
        shutil.copy2(source, target)
