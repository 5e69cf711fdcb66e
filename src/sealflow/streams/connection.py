"""Core: connections to a broker, and what the errors of the client library mean."""

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
    """Return a client for threads; it connects when first used.

    `timeout_s`: how long an answer may take.

    Raises: ConfigError; also when the C parser is not installed, without which nothing is quick.
    """
    found, arguments = _arguments(address, timeout_s)
    if found.sentinel_group is None:
        return valkey.Valkey(**arguments)
    sentinel = valkey.sentinel.Sentinel(found.hosts, sentinel_kwargs=arguments, **arguments)
    return sentinel.master_for(found.sentinel_group)


def connect_async(address: BrokerAddress | str) -> Any:  # noqa: ANN401 - likewise
    """Return a client for one event loop; it connects when first used, inside of `round_trip`.

    Raises: ConfigError.
    """
    # Given a timeout, the library writes under asyncio.wait_for, which in Python 3.11 swallows a
    # cancellation that comes in the same turn of the loop as the result.
    found, arguments = _arguments(address, None)
    if found.sentinel_group is None:
        return valkey.asyncio.Valkey(**arguments)
    asking = arguments | {"socket_timeout": CONNECT_TIMEOUT_S}
    sentinel = valkey.asyncio.sentinel.Sentinel(found.hosts, sentinel_kwargs=asking, **arguments)
    return sentinel.master_for(found.sentinel_group)


async def close_async(*clients: Any) -> None:  # noqa: ANN401 - likewise
    """Close clients of `connect_async`, with the connections to their sentinels."""
    for client in clients:
        await client.aclose()
        manager = getattr(client.connection_pool, "sentinel_manager", None)
        for each in [] if manager is None else manager.sentinels:
            await each.aclose()


def require_access(address: BrokerAddress | str) -> None:
    """Refuse to start with a password or certificate that the broker does not take.

    A broker that is away may come back, so that is not a reason.

    Raises: ConfigError.
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
                f"the broker's certificate is not good: {error}; check broker_ca_file and the name "
                "in broker_url"
            ) from error
    finally:
        client.close()


def _require_files(address: BrokerAddress | str) -> None:
    """Refuse files that no connection could be made with: here the library would try for ever."""
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
    """Turn the library's errors into ours: a full memory is a full queue, the rest may pass.

    Raises: QueueFullError, UnavailableError.
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
    """Return what is awaited inside `limit_s`.

    Raises: QueueFullError, UnavailableError.
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
