"""Core, stdlib only: the address of a queue's broker and the credentials for it.

Used by host and owner. A password is read from its file for each connection, so that a new one is
used from the next connection on. It is never stored, printed or put in a URL.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from sealflow.errors import ConfigError
from sealflow.files import file_errors

DEFAULT_PORT: Final = 6379
DEFAULT_SENTINEL_PORT: Final = 26379
MAX_PASSWORD_BYTES: Final = 4096
FORMS: Final = (
    "unix:///path, valkey://host:port, valkeys://host:port (TLS), "
    "sentinel://host:port,host:port/name or sentinels://… (TLS); redis:// and rediss:// are known"
)

_PLAIN: Final = ("valkey", "redis")
_TLS: Final = ("valkeys", "rediss")
_SENTINEL: Final = ("sentinel", "sentinels")


def http_url(host: str, port: int, *, tls: bool = False) -> str:
    """Return the URL of an HTTP server; an IPv6 address gets its brackets. Source: RFC 3986."""
    return f"http{'s' * tls}://{f'[{host}]' if ':' in host else host}:{port}"


def without_brackets(host: str) -> str:
    """Return a host as sockets take it: an IPv6 address may come as URLs write it."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """The address of a queue's broker, and the files that go with it.

    Attributes:
        url: `unix:///path`, `valkey://host:port`, `valkeys://host:port` (TLS),
            `sentinel://host:port,host:port/name` or `sentinels://…` (TLS). `redis://` and
            `rediss://` are other names of the second and third. May hold a user's name, never a
            password. Default ports: 6379, and 26379 for sentinels.
        password_file: Path of a file with the password in one line; read at each connection.
        ca_file: Path of a PEM file with the roots to trust, instead of the system's.
        certificate_file: Path of a PEM file with the client's certificate, if the broker asks.
        key_file: Path of a PEM file with its key.

    Raises:
        ConfigError: The URL is not of these forms or holds a password, or files do not fit to it.

    Example:
        >>> address = BrokerAddress(url="valkeys://owner@queue.example", ca_file="ca.pem")
        >>> address.tls, address.hosts
        (True, (('queue.example', 6379),))
    """

    url: str
    password_file: str | None = None
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    _parts: SplitResult = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the URL and the files; raise ConfigError."""
        parts = urlsplit(self.url)
        object.__setattr__(self, "_parts", parts)
        if parts.scheme not in ("unix", *_PLAIN, *_TLS, *_SENTINEL):
            raise ConfigError(f"broker URL: write it as {FORMS}")
        if parts.password is not None:
            raise ConfigError(
                "broker URL: it contains a password, which logs and process lists would show; "
                "write it to a file and name that file (broker_password_file or password_file)"
            )
        if parts.query or parts.fragment:
            raise ConfigError("broker URL: remove the part from `?` or `#` on: it has no options")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ConfigError("broker: set both the certificate file and the key file, or neither")
        if not self.tls and (self.ca_file or self.certificate_file):
            raise ConfigError(
                "broker: TLS files are set, but the URL is without TLS; "
                "use valkeys:// or sentinels://, or remove the files"
            )
        if parts.scheme == "unix":
            if parts.netloc or not parts.path:
                raise ConfigError(f"broker URL: write it as {FORMS}")
            return
        if parts.scheme in _SENTINEL and not parts.path.strip("/"):
            raise ConfigError(
                "broker URL: name the group that the sentinels monitor: "
                f"{parts.scheme}://{parts.netloc}/mymaster"
            )
        self.hosts  # noqa: B018 - raises ConfigError for invalid hosts

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self._parts.scheme in (*_TLS, "sentinels")

    @property
    def socket_path(self) -> str | None:
        """The path of the Unix socket; None for other addresses."""
        return self._parts.path if self._parts.scheme == "unix" else None

    @property
    def sentinel_group(self) -> str | None:
        """The sentinels' name for the group of servers; None without sentinels."""
        return self._parts.path.strip("/") if self._parts.scheme in _SENTINEL else None

    @property
    def hosts(self) -> tuple[tuple[str, int], ...]:
        """Host and port of the broker, or of each of its sentinels.

        Raises:
            ConfigError: The URL holds something else there.
        """
        default = DEFAULT_SENTINEL_PORT if self.sentinel_group else DEFAULT_PORT
        listed = self._parts.netloc.rpartition("@")[2].split(",")
        if len(listed) > 1 and not self.sentinel_group:
            raise ConfigError("broker URL: several hosts are for sentinel:// and sentinels:// only")
        return tuple(_host_and_port(text, default) for text in listed)

    @property
    def shown(self) -> str:
        """The URL for people and logs."""
        return self.url

    def to_json(self) -> dict[str, str]:
        """Return the fields that are set.

        Returns:
            Strings by name; `BrokerAddress(**fields)` makes the value again.

        Example:
            >>> BrokerAddress(url="unix:///run/queue.sock").to_json()
            {'url': 'unix:///run/queue.sock'}
        """
        named = {
            "url": self.url,
            "password_file": self.password_file,
            "ca_file": self.ca_file,
            "certificate_file": self.certificate_file,
            "key_file": self.key_file,
        }
        return {name: value for name, value in named.items() if value is not None}

    def arguments(self) -> dict[str, object]:
        """Return the keyword arguments with which valkey-py connects, for both of its clients.

        TLS checks the server's name, which valkey-py does not do unless told.

        Returns:
            The arguments; `credential_provider` reads the password file when it is called.
        """
        found: dict[str, object] = {}
        name = self._parts.netloc.rpartition("@")[0]
        if name or self.password_file is not None:
            found["credential_provider"] = _Credentials(unquote(name), self.password_file)
        if self.socket_path is not None:
            return {**found, "unix_socket_path": unquote(self.socket_path)}
        if self.sentinel_group is None:
            found["host"], found["port"] = self.hosts[0]
        if self.tls:
            found |= {
                "ssl": True,
                "ssl_check_hostname": True,
                "ssl_ca_certs": self.ca_file,
                "ssl_certfile": self.certificate_file,
                "ssl_keyfile": self.key_file,
            }
        return found


class _Credentials:
    """A credential provider of valkey-py, which needs no base class."""

    def __init__(self, name: str, password_file: str | None) -> None:
        self._name = name
        self._password_file = password_file

    def get_credentials(self) -> tuple[str, ...]:
        password = "" if self._password_file is None else _read_password(self._password_file)
        return (self._name, password) if self._name else (password,)


def _read_password(path: str) -> str:
    with file_errors(f"broker password file {path}"), Path(path).open("rb") as file:
        text = file.read(MAX_PASSWORD_BYTES + 1).strip()
    if not text or len(text) > MAX_PASSWORD_BYTES or b"\n" in text:
        raise ConfigError(
            f"broker password file {path}: it must contain one line with the password, of at most "
            f"{MAX_PASSWORD_BYTES} bytes"
        )
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"broker password file {path}: its text is not UTF-8") from error


def _host_and_port(text: str, default: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"broker URL: {text!r} is not host:port") from error
    if not host or parts.path:
        raise ConfigError(f"broker URL: {text!r} is not host:port")
    return host, default if port is None else port
