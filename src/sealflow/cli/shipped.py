"""CLI: copies examples and the chart, which the package carries, into a folder."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sealflow
from sealflow.errors import ConfigError
from sealflow.files import file_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PACKAGE: Final = Path(sealflow.__file__).resolve().parent
_LEFT_OUT: Final = frozenset({"make.py", "__pycache__"})
"""Files of the examples in a checkout that the wheel does not contain."""


def shipped(name: str) -> Path:
    """Return the path of a folder of examples or of the chart.

    `name`: its path in the repository. An installed package `sealflow` has it in `share`; a
    checkout has it beside `src`.

    Raises: ConfigError when this installation does not contain it.
    """
    for root in (_PACKAGE / "share", _PACKAGE.parents[1]):
        if (root / name).is_dir():
            return root / name
    raise ConfigError(f"this installation lacks {name}: install Sealflow from its wheel")


def write_copies(sources: Mapping[str, Path], folder: Path) -> list[Path]:
    """Copy each source folder to its path below a new or empty folder. Return the written files.

    `sources`: folders by target path; "." is `folder` itself. If a copy fails, everything that was
    written is removed.

    Raises: ConfigError.
    """
    created = _topmost_missing(folder)
    with file_errors(f"{folder}: cannot write"):
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigError(f"{folder} is not empty: name a new or empty folder")
        _write_all(sources, folder, created)
    return sorted(each for each in folder.rglob("*") if each.is_file())


def _write_all(sources: Mapping[str, Path], folder: Path, created: Path | None) -> None:
    draft = folder / f".{secrets.token_hex(8)}"
    moved: list[Path] = []
    try:
        for name, source in sources.items():
            _copy(source, draft / name)
        for each in sorted(draft.iterdir()):
            moved.append(folder / each.name)
            each.rename(moved[-1])
        draft.rmdir()
    except BaseException:
        for path in (created,) if created is not None else (draft, *moved):
            _remove(path)
        raise


def _copy(source: Path, target: Path) -> None:
    for path in _files(source):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def _files(source: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(source):
        folders[:] = [each for each in folders if each not in _LEFT_OUT]
        yield from (Path(folder) / name for name in names if name not in _LEFT_OUT)


def _topmost_missing(folder: Path) -> Path | None:
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    return missing[-1] if missing else None


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
