"""Host: settings files, and the settings of the broker that all of them share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from sealflow.errors import ConfigError
from sealflow.files import file_errors
from sealflow.streams.address import BrokerAddress

T = TypeVar("T", bound=msgspec.Struct)

PACKAGE_SUFFIX: Final = ".sealed"


class BrokerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part of a process's settings that says where the queue is."""

    broker_url: str
    """`unix:///path`, `valkey(s)://user@host:port`, `sentinel(s)://host,host/group`; never with a
    password."""
    broker_password_file: str | None = None
    """A file of one line, read anew at each connection."""
    broker_ca_file: str | None = None
    """PEM of the roots that the broker's certificate must come from."""
    broker_certificate_file: str | None = None
    """PEM of this process's own certificate, with `broker_key_file`."""
    broker_key_file: str | None = None

    @property
    def broker(self) -> BrokerAddress:
        """All of it in one value.

        Raises: ConfigError.
        """
        return BrokerAddress(
            url=self.broker_url,
            password_file=self.broker_password_file,
            ca_file=self.broker_ca_file,
            certificate_file=self.broker_certificate_file,
            key_file=self.broker_key_file,
        )


def load_settings(path: Path, kind: type[T]) -> T:
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
    return load_settings(Path(sys.argv[1]), kind)


def read_file(path: str, what: str) -> bytes:
    """Read a file that a setting names.

    Raises: ConfigError.
    """
    with file_errors(f"{what} {path}"):
        return Path(path).read_bytes()


def package_path(folder: Path, digest: str) -> Path:
    """Return where gateways put a sealed package and engines look for it."""
    return folder / f"{digest}{PACKAGE_SUFFIX}"
