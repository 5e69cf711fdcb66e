"""Host: addresses of brokers, and what the errors of the client library mean."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import valkey
from valkey.utils import LIBVALKEY_AVAILABLE

from sealflow.errors import ConfigError, QueueFullError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECT_TIMEOUT_S: Final = 5.0
_SCHEMES: Final = {"redis": "valkey", "rediss": "valkeys"}
_KNOWN: Final = ("valkey", "valkeys", "unix")


def checked_url(url: str) -> str:
    """Accept `unix://`, `valkey(s)://` or `redis(s)://`, in the library's own spelling.

    Raises: ConfigError; also when the C parser is not installed, without which nothing is quick.
    """
    scheme, separator, rest = url.partition("://")
    scheme = _SCHEMES.get(scheme, scheme)
    if scheme not in _KNOWN or not rest:
        raise ConfigError("broker_url: write it as unix:///path or valkey(s)://host:port")
    if not LIBVALKEY_AVAILABLE:
        raise ConfigError("libvalkey is not installed: pip install 'valkey[libvalkey]'")
    return scheme + separator + rest


def shown_url(url: str) -> str:
    """Write a broker's address without credentials."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@contextmanager
def translated() -> Iterator[None]:
    """Turn the library's errors into ours: a full memory is a full queue, the rest may pass."""
    try:
        yield
    except valkey.exceptions.OutOfMemoryError as error:
        raise QueueFullError("the broker's memory is full", retry_after_s=5.0) from error
    except (valkey.ValkeyError, OSError) as error:
        raise UnavailableError(f"the broker does not answer: {error}") from error
