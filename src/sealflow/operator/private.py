"""Operator: a folder of private files that changes as a whole: 0600 in 0700."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from typing import TYPE_CHECKING, Final

from sealflow.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MAX_FILES: Final = 200
_MAX_FILE_BYTES: Final = 2**20


def read_tree(folder: Path) -> dict[str, bytes]:
    """Read all files of a folder, by path within it.

    Raises: ConfigError; also when others than its owner may look into it.
    """
    try:
        if stat.S_IMODE(folder.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(f"{folder} is open to other users; run: chmod 700 {folder}")
        paths = [path for path in folder.rglob("*") if not path.is_dir()]
        if len(paths) > _MAX_FILES:
            raise ConfigError(f"{folder} holds more than {_MAX_FILES} files: it is no key folder")
        return {path.relative_to(folder).as_posix(): _read(path) for path in paths}
    except FileNotFoundError as error:
        raise ConfigError(
            f"no keys in {folder}: make them with `sealflow keys make {folder}`"
        ) from error
    except OSError as error:
        raise ConfigError(f"{folder}: cannot read the keys: {error.strerror}") from error


def write_tree(folder: Path, files: Mapping[str, bytes], *, replace: bool) -> None:
    """Write all files to a folder beside it, then put that in its place: all of them or none.

    `replace`: whether a folder may be there already; keys are never overwritten by accident.

    Raises: ConfigError.
    """
    draft = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
    former = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
    try:
        if not replace and folder.exists():
            raise ConfigError(
                f"{folder} exists: rotate what is in it with `sealflow keys rotate {folder}`"
            )
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.mkdir(mode=0o700)
        for name, content in files.items():
            _write(draft, draft / name, content)
        if folder.exists():
            folder.rename(former)
            try:
                draft.rename(folder)
            except OSError:
                former.rename(folder)
                raise
            shutil.rmtree(former)
        else:
            draft.rename(folder)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot write the keys: {error.strerror}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_new(path: Path, content: bytes) -> None:
    """Write one private file whole or not at all, never over another.

    Raises: ConfigError.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        try:
            _write(path.parent, draft, content)
            os.link(draft, path)  # unlike a rename, this never replaces a key
        finally:
            draft.unlink(missing_ok=True)
    except FileExistsError as error:
        raise ConfigError(f"{path} exists; a key is never overwritten") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot write the key: {error.strerror}") from error


def _write(top: Path, path: Path, content: bytes) -> None:
    for parent in reversed(path.relative_to(top).parents[:-1]):
        (top / parent).mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(_MAX_FILE_BYTES + 1)
    if len(content) > _MAX_FILE_BYTES:
        raise ConfigError(f"{path} is over {_MAX_FILE_BYTES} bytes: it is no key")
    return content
