"""Addresses of brokers: what is accepted, what is refused, what reaches the client library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sealflow.errors import ConfigError
from sealflow.streams.address import MAX_PASSWORD_BYTES, BrokerAddress

if TYPE_CHECKING:
    from pathlib import Path


def _credentials(address: BrokerAddress) -> tuple[str, ...]:
    provider: Any = address.arguments()["credential_provider"]
    found: tuple[str, ...] = provider.get_credentials()
    return found


def test_a_socket() -> None:
    """A Unix socket needs a path and nothing else."""
    address = BrokerAddress(url="unix:///run/a%20b.sock")
    assert address.arguments() == {"unix_socket_path": "/run/a b.sock"}
    assert not address.tls


@pytest.mark.parametrize("scheme", ["valkey", "redis"])
def test_a_host(scheme: str) -> None:
    """Both names of the protocol mean the same; the port has a default."""
    assert BrokerAddress(url=f"{scheme}://queue").arguments() == {"host": "queue", "port": 6379}
    address = BrokerAddress(url=f"{scheme}://[::1]:7000")
    assert address.arguments() == {"host": "::1", "port": 7000}


@pytest.mark.parametrize("scheme", ["valkeys", "rediss"])
def test_tls_checks_the_name(scheme: str) -> None:
    """With TLS the server's name and chain are always checked."""
    address = BrokerAddress(
        url=f"{scheme}://queue:7000", ca_file="ca.pem", certificate_file="c.pem", key_file="k.pem"
    )
    assert address.tls
    assert address.arguments() == {
        "host": "queue",
        "port": 7000,
        "ssl": True,
        "ssl_check_hostname": True,
        "ssl_ca_certs": "ca.pem",
        "ssl_certfile": "c.pem",
        "ssl_keyfile": "k.pem",
    }


def test_sentinels() -> None:
    """Sentinels are asked for the group that the path names."""
    address = BrokerAddress(url="sentinels://a:1,b/main")
    assert address.hosts == (("a", 1), ("b", 26379))
    assert address.sentinel_group == "main"
    assert "host" not in address.arguments()
    assert address.tls


def test_a_password_is_read_anew(tmp_path: Path) -> None:
    """A rotated password counts from the next connection on; it is in no repr."""
    file = tmp_path / "password"
    file.write_text("first\n")
    address = BrokerAddress(url="valkey://gate%40way@queue", password_file=str(file))
    assert _credentials(address) == ("gate@way", "first")
    file.write_text("second")
    assert _credentials(address) == ("gate@way", "second")
    assert "second" not in repr(address) + repr(address.arguments()) + address.shown


def test_a_password_without_a_name(tmp_path: Path) -> None:
    """Without a name the password is the default user's, with a name alone there is none."""
    file = tmp_path / "password"
    file.write_text("secret")
    assert _credentials(BrokerAddress(url="valkey://queue", password_file=str(file))) == ("secret",)
    assert _credentials(BrokerAddress(url="valkey://me@queue")) == ("me", "")


@pytest.mark.parametrize(
    "content", [None, b"", b"\n", b"one\ntwo", b"\xff", b"x" * (MAX_PASSWORD_BYTES + 1)]
)
def test_a_bad_password_file(tmp_path: Path, content: bytes | None) -> None:
    """What is not one line with a password is said with the file's name, never with its content."""
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    address = BrokerAddress(url="valkey://queue", password_file=str(file))
    with pytest.raises(ConfigError, match=r"password file .*password"):
        _credentials(address)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"url": "http://queue"}, "write it as"),
        ({"url": "queue:6379"}, "write it as"),
        ({"url": "unix://host/path"}, "write it as"),
        ({"url": "unix://"}, "write it as"),
        ({"url": "valkey://"}, "not host:port"),
        ({"url": "valkey://queue:port"}, "not host:port"),
        ({"url": "valkey://queue:99999"}, "not host:port"),
        ({"url": "valkey://a:1,b:2"}, "several hosts"),
        ({"url": "sentinel://a:1,b:2"}, "name the group"),
        ({"url": "sentinel://a:1,/main"}, "not host:port"),
        ({"url": "valkey://me:secret@queue"}, "contains a password"),
        ({"url": "valkeys://queue?ssl_cert_reqs=none"}, "no options"),
        ({"url": "valkey://queue", "ca_file": "ca.pem"}, "without TLS"),
        ({"url": "valkeys://queue", "key_file": "k.pem"}, "set both"),
    ],
)
def test_refused(fields: dict[str, str], words: str) -> None:
    """A mistake is refused at once, and a password in it is not repeated."""
    with pytest.raises(ConfigError, match=words) as caught:
        BrokerAddress(**fields)
    assert "secret" not in str(caught.value)


def test_round_trip() -> None:
    """The fields that are set make the same value again."""
    address = BrokerAddress(
        url="valkeys://me@queue", ca_file="ca.pem", key_file="k", certificate_file="c"
    )
    assert BrokerAddress(**address.to_json()) == address
