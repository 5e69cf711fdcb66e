"""Host: an instance's own copy of the sealed state, the sealed state keys and the whole log.

All of it is encrypted or signed. The log file has one record per line, from number 0 on.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from sealflow.files import file_errors, write_file
from sealflow.host.broker.keybroker_records import StoredState
from sealflow.host.keybroker_host.earlier_states import EarlierStates

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_NUMBER_BYTES: Final = 8


class StateArchive:
    """The files for one deployment digest, in a folder of their own below `state_dir`."""

    def __init__(self, state_dir: Path, deployment_digest: str) -> None:
        """Use `state_dir`; create it when missing, and set its mode to 0700.

        `deployment_digest`: SHA-256 of the deployment settings in hex.

        Raises: ConfigError when the folder cannot be created or read.
        """
        self._folder = state_dir / deployment_digest[:16]
        self._state = self._folder / "state"
        self._keys = self._folder / "keys"
        self._log = self._folder / "log.jsonl"
        self.earlier = EarlierStates(self._folder)
        with file_errors(f"state_dir {state_dir}"):
            self._keys.mkdir(mode=0o700, parents=True, exist_ok=True)
            state_dir.chmod(0o700)
            self._length = sum(1 for _ in self._records())

    @property
    def next_number(self) -> int:
        """The number of the next log record to append."""
        return self._length

    def stored(self) -> StoredState | None:
        """Return the newest state in the archive, or None when there is none."""
        try:
            content = self._state.read_bytes()
        except FileNotFoundError:
            return None
        return StoredState(
            number=int.from_bytes(content[:_NUMBER_BYTES]), state=content[_NUMBER_BYTES:]
        )

    def store(self, state: StoredState) -> None:
        """Store a state in place of the previous one, which is kept among the earlier ones."""
        write_file(self._state, state.number.to_bytes(_NUMBER_BYTES) + state.state)
        self.earlier.keep(state.number)

    def keys(self) -> list[bytes]:
        """Return the sealed copies of the state key, one for each machine."""
        return [path.read_bytes() for path in sorted(self._keys.iterdir()) if not _is_draft(path)]

    def store_key(self, machine: bytes, sealed: bytes) -> None:
        """Store the copy of the state key that is sealed for `machine`."""
        write_file(self._keys / machine.hex(), sealed)

    def append(self, records: Sequence[tuple[int, bytes]]) -> None:
        """Append log records in order, and flush them to the disk.

        Records whose number is not `next_number` are skipped.
        """
        with self._log.open("ab") as file:
            for number, record in records:
                if number == self._length:
                    file.write(record + b"\n")
                    self._length += 1
            file.flush()
            os.fsync(file.fileno())

    def tail(self, after: int) -> list[tuple[int, bytes]]:
        """Return the log records by number, from number `after` + 1 on."""
        return list(self.records(after + 1))

    def records(self, first: int) -> Iterator[tuple[int, bytes]]:
        """Return the log records by number, from number `first` on, one after the other."""
        return ((number, each) for number, each in enumerate(self._records()) if number >= first)

    def _records(self) -> Iterator[bytes]:
        if not self._log.exists():
            return
        with self._log.open("rb+") as file:
            at = 0
            while line := file.readline():
                if not line.endswith(b"\n"):
                    # A power failure cut off the record; it is fetched again from the broker.
                    file.truncate(at)
                    return
                at += len(line)
                yield line[:-1]


def _is_draft(path: Path) -> bool:
    """Return whether `write_file` did not finish this file."""
    return path.name.startswith(".")
