"""Who a peer is, and what it may take."""

from __future__ import annotations

import pytest

from sealflow.errors import ConfigError, QueueFullError
from sealflow.host.gateway.limits.peers import Peers


def peers(*trusted: str, share: float = 0.5, requests_s: float = 0.0) -> Peers:
    """Peers of a gateway for 4 connections and 4 requests in work."""
    return Peers(
        trusted=trusted, share=share, max_connections=4, max_waiting=4, requests_s=requests_s
    )


@pytest.mark.parametrize(
    ("host", "forwarded", "name"),
    [
        ("192.0.2.1", "203.0.113.1", "192.0.2.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "203.0.113.1", "203.0.113.1"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.1, 10.0.0.2", "203.0.113.1"),
        ("10.0.0.1", "198.51.100.1, junk", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.3", "10.0.0.1"),
        ("::ffff:10.0.0.1", "203.0.113.1", "203.0.113.1"),
        ("2001:db8::1", "203.0.113.1", "203.0.113.1"),
        ("10.0.0.1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", None, "fe80::/64"),
        (None, None, "unknown"),
    ],
)
def test_names(host: str | None, forwarded: str | None, name: str) -> None:
    """A peer is an address or a network; only trusted proxies name another one."""
    headers = [] if forwarded is None else [(b"x-forwarded-for", forwarded.encode())]
    assert peers("10.0.0.0/8", "2001:db8::1").name(host, headers) == name


def test_networks_that_are_none() -> None:
    """A setting that is no network is named."""
    with pytest.raises(ConfigError, match="trusted_proxies: 'proxy'"):
        peers("proxy")


def test_connections() -> None:
    """A peer with one connection too many is told all of its own, oldest first."""
    shared = peers("10.0.0.0/8")
    assert not shared.connect("192.0.2.1", "a")
    assert not shared.connect("192.0.2.1", "b")
    assert shared.connect("192.0.2.1", "c") == ("a", "b", "c")
    assert not shared.connect("192.0.2.2", "d")
    shared.disconnect("192.0.2.1", "a")
    shared.disconnect("192.0.2.1", "a")
    shared.disconnect("192.0.2.1", "b")
    assert not shared.connect("192.0.2.1", "e")
    for number in range(9):
        assert not shared.connect("10.0.0.1", number)


def test_requests_in_work() -> None:
    """A peer has its share of requests in work, and no other peer's."""
    shared = peers()
    with shared.serving("a"), shared.serving("a"):
        with pytest.raises(QueueFullError), shared.serving("a"):
            pass
        with shared.serving("b"):
            pass
    with shared.serving("a"):
        pass


def test_rate() -> None:
    """A peer over its rate is told how long to wait; refusals cost it nothing."""
    shared = peers(requests_s=0.001)
    with shared.serving("a"):
        pass
    for _ in range(3):
        with pytest.raises(QueueFullError) as refused, shared.serving("a"):
            pass
        assert 990 < refused.value.retry_after_s <= 1000
    with shared.serving("b"):
        pass
