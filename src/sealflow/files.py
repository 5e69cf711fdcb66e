"""Core: files of this machine: reading with a size limit, and atomic writing. Not for enclaves."""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sealflow.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def file_errors(
    where: str, advice: str = "", *, missing: str = "", exists: str = ""
) -> Iterator[None]:
    """Return a context that raises any OSError as a ConfigError.

    Its message is `WHERE: REASON`, or `WHERE: REASON; ADVICE`, with the system's reason. `missing`
    and `exists`: the whole message when a file is missing, or is already there.

    Raises: ConfigError.
    """
    try:
        yield
    except OSError as error:
        message = f"{where}: {error.strerror}" + (f"; {advice}" if advice else "")
        if isinstance(error, FileNotFoundError):
            message = missing or message
        elif isinstance(error, FileExistsError):
            message = exists or message
        raise ConfigError(message) from error


def read_file(path: Path, limit: int) -> bytes:
    """Return the content of a file of at most `limit` bytes.

    Raises: ConfigError if it is larger; OSError.
    """
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ConfigError(f"{path} is over {limit} bytes")
    return content


def write_file(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a file atomically, replacing an existing one.

    `mode`: the permissions of the file; the umask applies.

    Raises: OSError.
    """
    draft = _draft(path)
    try:
        write_draft(draft, content, mode)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def create_file(path: Path, content: bytes) -> None:
    """Write a new file atomically with mode 0600, and never replace an existing one.

    Raises: FileExistsError, OSError.
    """
    draft = _draft(path)
    try:
        write_draft(draft, content, 0o600)
        os.link(draft, path)  # unlike a rename, a link never replaces a file
    finally:
        draft.unlink(missing_ok=True)


def write_draft(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a new file and wait until it is on disk; the caller then moves it to its final path.

    Raises: FileExistsError, OSError.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hex.

    Raises: OSError.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")
