"""Host: one TOML file a process, read into one frozen struct."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TypeVar

import msgspec

from sealflow.errors import ConfigError

T = TypeVar("T", bound=msgspec.Struct)


def load(path: Path, kind: type[T]) -> T:
    """Read a process's settings.

    Raises: ConfigError that names the file and the setting.
    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}; see the fields of {kind.__name__}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def load_argument(kind: type[T]) -> T:
    """Read the settings of this process from the file that its one argument names.

    Raises: ConfigError.
    """
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and the file
        program = kind.__module__.rpartition(".")[0]
        raise ConfigError(f"give one file of settings: python -m {program} CONFIG.toml")
    return load(Path(sys.argv[1]), kind)


def read_file(path: str, what: str) -> bytes:
    """Read a file that a setting names.

    Raises: ConfigError.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{what} {path}: {error.strerror}") from error
