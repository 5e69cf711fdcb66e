"""Files are written whole or not at all, and read with a limit."""

from __future__ import annotations

import hashlib
import stat
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import ConfigError
from sealflow.files import create_file, file_errors, file_sha256, read_file, write_file

if TYPE_CHECKING:
    from pathlib import Path


def test_write(tmp_path: Path) -> None:
    """A file takes the place of an older one, is private, and leaves no draft."""
    path = tmp_path / "state"
    write_file(path, b"one")
    write_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_write_that_fails(tmp_path: Path) -> None:
    """A write that cannot end leaves what was there, and no draft."""
    path = tmp_path / "folder"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_file(path, b"x")
    assert list(tmp_path.iterdir()) == [path]


def test_create(tmp_path: Path) -> None:
    """A file that exists is never overwritten."""
    path = tmp_path / "key"
    create_file(path, b"one")
    with pytest.raises(FileExistsError):
        create_file(path, b"two")
    assert path.read_bytes() == b"one"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_read(tmp_path: Path) -> None:
    """A file of just the limit is read; a larger one is refused, with its name."""
    path = tmp_path / "pin"
    path.write_bytes(b"1234")
    assert read_file(path, 4) == b"1234"
    with pytest.raises(ConfigError, match="pin is over 3 bytes"):
        read_file(path, 3)


def test_errors(tmp_path: Path) -> None:
    """The system's errors say where, and the system's reason."""
    path = tmp_path / "absent"
    said = pytest.raises(ConfigError, match=r"absent: cannot read: No such file or directory$")
    with said, file_errors(f"{path}: cannot read"):
        read_file(path, 1)


def test_digest(tmp_path: Path) -> None:
    """A digest is the one of the content."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    assert file_sha256(path) == hashlib.sha256(b"content").hexdigest()


def test_error_messages(tmp_path: Path) -> None:
    """Advice follows the system's reason; a missing or an existing file has its own message."""
    absent, there = tmp_path / "absent", tmp_path / "there"
    there.write_bytes(b"")
    advised = pytest.raises(ConfigError, match=r"absent: No such file or directory; make it$")
    with advised, file_errors(f"{absent}", "make it"):
        read_file(absent, 1)
    with pytest.raises(ConfigError, match=r"^none$"), file_errors(f"{absent}", missing="none"):
        read_file(absent, 1)
    with pytest.raises(ConfigError, match=r"^one$"), file_errors(f"{there}", exists="one"):
        create_file(there, b"")
    with pytest.raises(ConfigError, match=r"Is a directory$"), file_errors("here", missing="none"):
        read_file(tmp_path, 1)
