"""Host: this instance's own copy of the sealed state, its keys, and the whole log, in a folder.

All of it is ciphertext or signed. A log file is one record a line, from number 0 on.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from sealflow.files import file_errors, write_file
from sealflow.host.broker.keybroker_records import StoredState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_NUMBER_BYTES: Final = 8


class StateArchive:
    """The folder of one deployment's settings; other settings have another."""

    def __init__(self, state_dir: Path, deployment_digest: str) -> None:
        """Use `state_dir`; made when missing.

        Raises: ConfigError.
        """
        self._folder = state_dir / deployment_digest[:16]
        self._state = self._folder / "state"
        self._keys = self._folder / "keys"
        self._log = self._folder / "log.jsonl"
        with file_errors(f"state_dir {state_dir}"):
            self._keys.mkdir(mode=0o700, parents=True, exist_ok=True)
            state_dir.chmod(0o700)
            self._length = sum(1 for _ in self._records())

    @property
    def next_number(self) -> int:
        """The number of the first record that is missing."""
        return self._length

    def stored(self) -> StoredState | None:
        """The newest state that was kept here."""
        try:
            content = self._state.read_bytes()
        except FileNotFoundError:
            return None
        return StoredState(
            number=int.from_bytes(content[:_NUMBER_BYTES]), state=content[_NUMBER_BYTES:]
        )

    def store(self, kept: StoredState) -> None:
        """Keep a state in the place of the one before."""
        write_file(self._state, kept.number.to_bytes(_NUMBER_BYTES) + kept.state)

    def keys(self) -> list[bytes]:
        """The state's keys that were sealed for some machine."""
        return [path.read_bytes() for path in sorted(self._keys.iterdir()) if _whole(path)]

    def store_key(self, machine: bytes, sealed: bytes) -> None:
        """Keep the state's key that was sealed for one machine."""
        write_file(self._keys / machine.hex(), sealed)

    def append(self, records: Sequence[tuple[int, bytes]]) -> None:
        """Append the records that are next; those that are there already are passed over."""
        with self._log.open("ab") as file:
            for number, record in records:
                if number == self._length:
                    file.write(record + b"\n")
                    self._length += 1
            file.flush()
            os.fsync(file.fileno())

    def tail(self, after: int) -> list[tuple[int, bytes]]:
        """The records from number `after` + 1 on."""
        return [(number, record) for number, record in enumerate(self._records()) if number > after]

    def _records(self) -> Iterator[bytes]:
        if not self._log.exists():
            return
        with self._log.open("rb+") as file:
            at = 0
            while line := file.readline():
                if not line.endswith(b"\n"):
                    # A machine lost power while it wrote; the record is fetched again.
                    file.truncate(at)
                    return
                at += len(line)
                yield line[:-1]


def _whole(path: Path) -> bool:
    return not path.name.startswith(".")
