"""Host, gateway: the peer that sent a request, and the share of capacity that it may take.

A peer is an IPv4 address, or an IPv6 network of 64 bits, as one line of a provider has so many.
Behind a trusted proxy it is the last address of `x-forwarded-for` that is not itself trusted.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from contextlib import contextmanager
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Final

from sealflow.errors import ConfigError, QueueFullError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from ipaddress import IPv4Address, IPv4Network, IPv6Network

_FORWARDED: Final = b"x-forwarded-for"
_UNKNOWN: Final = "unknown"
_PREFIX_BITS: Final = 64
_BURST_S: Final = 2.0
_MAX_PEERS: Final = 4096


def trusted_networks(texts: Sequence[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks of the setting `trusted_proxies`.

    Raises: ConfigError.
    """
    try:
        return tuple(ip_network(text) for text in texts)
    except ValueError as error:
        raise ConfigError(
            f"trusted_proxies: {error}; write addresses or networks, such as 10.0.0.0/8"
        ) from error


class Peers:
    """The peers of one gateway, and the requests and connections that each has open."""

    def __init__(
        self,
        *,
        trusted: Sequence[str],
        share: float,
        max_connections: int,
        max_waiting: int,
        requests_s: float,
    ) -> None:
        """Set the limits: of connections, of requests in work, and of requests per second.

        `share`: the part of the first two that one peer may take. `requests_s`: 0 for no limit.

        Raises: ConfigError.
        """
        self._trusted = trusted_networks(trusted)
        self._max_connections = math.ceil(max_connections * share)
        self._max_waiting = math.ceil(max_waiting * share)
        self._requests_s = requests_s
        self._connections: dict[str, OrderedDict[object, None]] = {}
        self._waiting: dict[str, int] = {}
        self._rates: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def name(self, host: str | None, headers: Sequence[tuple[bytes, bytes]] = ()) -> str:
        """Return the peer of a request: `host` is the other end of its connection."""
        name = _name_of(host or _UNKNOWN)
        if not self._is_trusted(host or _UNKNOWN):
            return name
        listed = b",".join(value for key, value in headers if key == _FORWARDED)
        for text in reversed(listed.decode("latin-1").split(",")):
            forwarded = _name_of(text.strip())
            if forwarded == _UNKNOWN:
                break
            if not self._is_trusted(text.strip()):
                return forwarded
        return name

    def connect(self, host: str | None, connection: object) -> Sequence[object]:
        """Count a connection. Return the peer's, oldest first, if it has one too many of them."""
        name = _name_of(host or _UNKNOWN)
        found = self._connections.setdefault(name, OrderedDict())
        found[connection] = None
        if len(found) <= self._max_connections or self._is_trusted(host or _UNKNOWN):
            return ()
        return tuple(found)

    def disconnect(self, host: str | None, connection: object) -> None:
        """Count off a connection, once or more often."""
        name = _name_of(host or _UNKNOWN)
        found = self._connections.get(name)
        if found is not None:
            found.pop(connection, None)
            if not found:
                del self._connections[name]

    @contextmanager
    def serving(self, peer: str) -> Iterator[None]:
        """Count a request of a peer while it is in work.

        Raises: QueueFullError when the peer has too many in work, or sends too many.
        """
        self._take_turn(peer)
        waiting = self._waiting.get(peer, 0)
        if waiting >= self._max_waiting:
            raise QueueFullError("this address has its share of the queue")
        self._waiting[peer] = waiting + 1
        try:
            yield
        finally:
            self._waiting[peer] -= 1
            if not self._waiting[peer]:
                del self._waiting[peer]

    def _take_turn(self, peer: str) -> None:
        if not self._requests_s:
            return
        now = time.monotonic()
        burst = max(1.0, self._requests_s * _BURST_S)
        left, at = self._rates.pop(peer, (burst, now))
        left = min(burst, left + (now - at) * self._requests_s)
        self._rates[peer] = (max(left - 1, 0.0) if left >= 1 else left, now)
        if len(self._rates) > _MAX_PEERS:
            self._rates.popitem(last=False)
        if left < 1:
            wait_s = (1 - left) / self._requests_s
            raise QueueFullError("this address sends too many requests", retry_after_s=wait_s)

    def _is_trusted(self, text: str) -> bool:
        address = _address(text) if self._trusted else None
        return address is not None and any(address in network for network in self._trusted)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


@lru_cache(maxsize=_MAX_PEERS)
def _name_of(text: str) -> str:
    address = _address(text)
    if address is None:
        return _UNKNOWN
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _PREFIX_BITS), strict=False))
    return str(address)
