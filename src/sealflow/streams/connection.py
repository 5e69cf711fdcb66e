"""Core: connects to a broker, and converts the errors of its client library."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final

import valkey
import valkey.asyncio
import valkey.asyncio.sentinel
import valkey.sentinel
from valkey.utils import LIBVALKEY_AVAILABLE

from sealflow.errors import ConfigError, QueueFullError, UnavailableError
from sealflow.streams.address import BrokerAddress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

CONNECT_TIMEOUT_S: Final = 5.0
ROUND_TRIP_S: Final = 10.0

_REFUSALS: Final = (
    valkey.exceptions.AuthenticationError,
    valkey.exceptions.NoPermissionError,
)


def connect(address: BrokerAddress | str, timeout_s: float | None) -> Any:  # noqa: ANN401 - half typed library
    """Return a thread-safe client; it connects when it is first used.

    `timeout_s`: limit for each answer; None for no limit.

    Raises: ConfigError when the address is invalid, or libvalkey, the parser in C, is not
    installed. Without it, valkey-py would parse in Python, which is too slow.
    """
    found, arguments = _arguments(address, timeout_s)
    if found.sentinel_group is None:
        return valkey.Valkey(**arguments)
    sentinel = valkey.sentinel.Sentinel(found.hosts, sentinel_kwargs=arguments, **arguments)
    return sentinel.master_for(found.sentinel_group)


def connect_async(address: BrokerAddress | str) -> Any:  # noqa: ANN401 - likewise
    """Return a client for one event loop; use it inside `round_trip`, which sets the time limit.

    It connects when it is first used.

    Raises: ConfigError as `connect`.
    """
    # With a timeout, the library writes under asyncio.wait_for, which in Python 3.11 ignores a
    # cancellation that arrives in the same iteration of the loop as the result.
    found, arguments = _arguments(address, None)
    if found.sentinel_group is None:
        return valkey.asyncio.Valkey(**arguments)
    to_sentinels = arguments | {"socket_timeout": CONNECT_TIMEOUT_S}
    sentinel = valkey.asyncio.sentinel.Sentinel(
        found.hosts, sentinel_kwargs=to_sentinels, **arguments
    )
    return sentinel.master_for(found.sentinel_group)


async def close_async(*clients: Any) -> None:  # noqa: ANN401 - likewise
    """Close clients of `connect_async`, and their connections to sentinels."""
    for client in clients:
        await client.aclose()
        manager = getattr(client.connection_pool, "sentinel_manager", None)
        for each in [] if manager is None else manager.sentinels:
            await each.aclose()


def require_access(address: BrokerAddress | str) -> None:
    """Check, before a process starts, that the broker accepts its user and certificate.

    A broker that does not answer is not an error here, as it may come back.

    Raises: ConfigError when the broker refuses the user, its certificate is not trusted, or the
    files of the client's certificate cannot be read.
    """
    _require_files(address)
    client = connect(address, CONNECT_TIMEOUT_S)
    try:
        client.ping()
    except _REFUSALS as error:
        raise ConfigError(
            f"the broker refuses this user: {error}; check the user in broker_url, "
            "broker_password_file, and the broker's ACL"
        ) from error
    except (valkey.ValkeyError, OSError) as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise ConfigError(
                f"the broker's certificate is not trusted: {error}; check broker_ca_file and the "
                "name in broker_url"
            ) from error
    finally:
        client.close()


def _require_files(address: BrokerAddress | str) -> None:
    """Check the files of the client's certificate, with which valkey-py would retry for ever."""
    if isinstance(address, str) or address.certificate_file is None:
        return
    try:
        context = ssl.create_default_context(cafile=address.ca_file)
        context.load_cert_chain(address.certificate_file, address.key_file)
    except OSError as error:
        raise ConfigError(
            f"broker_certificate_file {address.certificate_file}, broker_key_file "
            f"{address.key_file}, broker_ca_file {address.ca_file}: {error}"
        ) from error


@contextmanager
def redis_errors() -> Iterator[None]:
    """Convert errors of valkey-py in the block.

    Raises: QueueFullError when the broker's memory is full; UnavailableError for all others.
    """
    try:
        yield
    except valkey.exceptions.OutOfMemoryError as error:
        raise QueueFullError("the broker's memory is full", retry_after_s=5.0) from error
    except _REFUSALS as error:
        raise UnavailableError(f"the broker refuses this user: {error}") from error
    except (valkey.ValkeyError, OSError) as error:
        raise UnavailableError(f"the broker does not answer: {error}") from error


@asynccontextmanager
async def round_trip(limit_s: float = ROUND_TRIP_S) -> AsyncIterator[None]:
    """Limit the duration of the block to `limit_s` seconds and convert errors as `redis_errors`.

    Raises: QueueFullError; UnavailableError, also when the limit is exceeded.
    """
    with redis_errors():
        try:
            async with asyncio.timeout(limit_s):
                yield
        except TimeoutError as error:
            message = f"the broker does not answer within {limit_s:g} s"
            raise UnavailableError(message) from error


def _arguments(
    address: BrokerAddress | str, timeout_s: float | None
) -> tuple[BrokerAddress, dict[str, Any]]:
    if not LIBVALKEY_AVAILABLE:
        raise ConfigError("libvalkey is not installed: pip install 'valkey[libvalkey]'")
    found = BrokerAddress(url=address) if isinstance(address, str) else address
    arguments = found.arguments() | {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
    }
    return found, arguments
