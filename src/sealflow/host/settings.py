"""Host: read settings files, and the broker settings that all server processes share."""

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
DAMAGED_SUFFIX: Final = ".damaged"


class BrokerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a process that connect it to the broker."""

    broker_url: str
    """`unix:///path`, `valkey(s)://user@host:port` or `sentinel(s)://host,host/group`, without a
    password."""
    broker_password_file: str | None = None
    """A file whose one line is the password; it is read again for each connection."""
    broker_ca_file: str | None = None
    """A PEM file of the root certificates that may have issued the broker's certificate."""
    broker_certificate_file: str | None = None
    """A PEM file of this process's client certificate; requires `broker_key_file`."""
    broker_key_file: str | None = None
    """A PEM file of the private key of `broker_certificate_file`."""

    @property
    def broker(self) -> BrokerAddress:
        """The address of the broker, with its credentials.

        Raises: ConfigError when the URL or the set of files is not valid.
        """
        return BrokerAddress(
            url=self.broker_url,
            password_file=self.broker_password_file,
            ca_file=self.broker_ca_file,
            certificate_file=self.broker_certificate_file,
            key_file=self.broker_key_file,
        )


def load_settings(path: Path, kind: type[T]) -> T:
    """Read the settings of type `kind` from a TOML file.

    Raises: ConfigError that names the file and the setting.
    """
    with file_errors(f"{path}"):
        text = path.read_bytes()
    try:
        return msgspec.toml.decode(text, type=kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}; see the fields of {kind.__name__}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the file is not TOML: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def load_argument(kind: type[T]) -> T:
    """Read settings of type `kind` from the file named by the process's only argument.

    Raises: ConfigError when there is not exactly one argument, or as `load_settings`.
    """
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and the file
        program = kind.__module__.rpartition(".")[0]
        raise ConfigError(f"give exactly one settings file: python -m {program} CONFIG.toml")
    return load_settings(Path(sys.argv[1]), kind)


def read_file(path: str, what: str) -> bytes:
    """Read the file at `path`; `what` is the setting that names it, for the error message.

    Raises: ConfigError.
    """
    with file_errors(f"{what} {path}"):
        return Path(path).read_bytes()


def package_path(folder: Path, digest: str) -> Path:
    """Return the path of a sealed package: gateways write it, engines read it."""
    return folder / f"{digest}{PACKAGE_SUFFIX}"
